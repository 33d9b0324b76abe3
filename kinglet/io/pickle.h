// Pickles as inert value trees. Reading never imports, calls or runs anything: a GLOBAL is only a name, REDUCE, NEWOBJ
// and BUILD only make or extend a node. What the names mean is decided by torch_file.h against a white list.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "kinglet/base/files.h"

namespace kinglet {

enum class PickleKind : std::uint8_t {
  kNone,
  kBool,
  kInt,
  kBigInt,
  kFloat,
  kString,
  kBytes,
  kList,
  kTuple,
  kDict,
  kSet,
  kGlobal,
  kCall,
  kPersistentId,
};

// One node of the tree. Identity matters: two places that share a node share the object in Python too.
struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  bool boolean = false;
  std::int64_t integer = 0;
  double number = 0;
  std::string text;                 // kString, kBytes, kBigInt (decimal), kGlobal ("module name")
  std::vector<PickleValue*> items;  // kList, kTuple, kSet; kDict: key, value, key, value, ...; kPersistentId: one item
                                    // kCall: callable, argument tuple[, keyword dict]
  PickleValue* state = nullptr;     // set by BUILD on a kCall (or by SETITEMS/APPENDS on a kCall: see items of `state`)
  std::vector<PickleValue*> appended;  // kCall: list items or dict key/value pairs put into the object afterwards

  const PickleValue* find(std::string_view key) const;  // kDict (or a kCall of OrderedDict): value of a string key
};

// Owns all nodes; pointers stay valid when the document moves.
struct PickleDocument {
  std::deque<PickleValue> nodes;
  PickleValue* root = nullptr;
  std::size_t bytes_read = 0;  // up to and including STOP
};

struct PickleLimits {
  std::size_t max_depth = 256;  // nesting of the finished tree
  std::size_t max_memo = 16u << 20;
  std::size_t max_nodes = 64u << 20;
};

// Protocols 0-5 as far as PyTorch, NumPy-in-PyTorch and DCP use them; any other opcode is refused by name and offset.
PickleDocument parse_pickle(ByteView bytes, std::string_view where, const PickleLimits& limits = {});

// Every global the tree names, sorted, without repeats.
std::vector<std::string> pickle_globals(const PickleDocument& document);

// Indented text for people; long containers are cut after `max_items`. Shared nodes are printed once and referred to.
std::string dump_pickle(const PickleDocument& document, std::size_t max_items = 32);

// Protocol-2 writer, as torch.save writes `data.pkl`: batches of 1000, memo for every container and string; shared
// nodes become memo references. The inverse of parse_pickle on trees made of the kinds above.
Bytes write_pickle(const PickleDocument& document);

// Small builders for trees that are to be written.
class PickleBuilder {
 public:
  PickleValue* none();
  PickleValue* boolean(bool value);
  PickleValue* integer(std::int64_t value);
  PickleValue* number(double value);
  PickleValue* string(std::string value);
  PickleValue* list(std::vector<PickleValue*> items = {});
  PickleValue* tuple(std::vector<PickleValue*> items = {});
  PickleValue* dict(const std::vector<std::pair<PickleValue*, PickleValue*>>& items = {});
  PickleValue* global(std::string_view module, std::string_view name);
  PickleValue* call(PickleValue* callable, std::vector<PickleValue*> arguments);
  PickleValue* persistent_id(PickleValue* id);
  PickleDocument finish(PickleValue* root) &&;

 private:
  PickleValue* add(PickleKind kind);
  PickleDocument document_;
};

}  // namespace kinglet
