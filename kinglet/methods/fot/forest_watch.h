// A forest as it grows: what has changed since one looked last, as small JSON objects. A page that gets all of them in
// order can draw the forest at any moment.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kinglet/methods/fot/forest.h"
#include "kinglet/text/json_text.h"

namespace kinglet::fot {

// Each object has a field "event":
//   tree      {"tree"}: it was started
//   thought   {"tree", "thought"} and the fields of thought_to_json(): a new thought, or one that has changed
//   tree_end  {"tree", "active", "label", "stop_reason", "score"}; or {"tree", "active": false, "stopped": true} for
//   one
//             that is of no use any more
//   votes     {"votes", "trees"}: of the trees that ended and count
//   end       {"status", "decided_by", "label", "trees", "planned_trees", "calls", "completion_tokens"}
class ForestWatch {
 public:
  explicit ForestWatch(const Forest& forest) : forest_(forest) {}  // the forest must outlive it

  std::vector<Json> news();

 private:
  struct Seen {
    std::vector<std::string> thoughts;
    bool ended = false;
  };
  void look_at_tree(int tree, std::vector<Json>& news);

  const Forest& forest_;
  std::map<int, Seen> seen_;
  int counted_ = 0;
  bool ended_ = false;
};

}  // namespace kinglet::fot
