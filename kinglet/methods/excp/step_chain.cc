#include "kinglet/methods/excp/step_chain.h"

#include <cassert>

#include "kinglet/base/error.h"
#include "kinglet/methods/excp/step_decoder.h"

namespace kinglet::excp {

StepChain::StepChain(std::vector<std::shared_ptr<const StepFile>> files) {
  assert(!files.empty());
  for (auto& file : files) {
    const StepIndex& index = file->index();
    const bool fits = links_.empty() ? index.is_key()
                                     : index.parent == links_.back().file->index().step &&
                                           index.parent_content == links_.back().file->content();
    if (!fits) {
      throw failed(file->where(), fmt::format("step {} was not made from the step before it in this store", index.step),
                   "run 'kinglet ckpt verify STORE' to see which steps are usable");
    }
    Link link{std::move(file), {}, {}};
    for (const StoredParameter& parameter : link.file->index().parameters) {
      if (parameter.has_reference) link.parameters.emplace(parameter.name, &parameter);
    }
    for (std::size_t i = 0; i < link.file->index().files.size(); ++i) {
      link.files.emplace(link.file->index().files[i].name, i);
    }
    links_.push_back(std::move(link));
  }
}

const StoredParameter* StepChain::find(std::size_t link, std::string_view name) const {
  const auto found = links_[link].parameters.find(name);
  return found == links_[link].parameters.end() ? nullptr : found->second;
}

void StepChain::reference(std::size_t link, std::string_view name, std::uint64_t block, std::span<float> out) const {
  std::vector<const StoredParameter*> path;  // newest first
  for (std::size_t at = link;; --at) {
    const StoredParameter* parameter = find(at, name);
    if (parameter == nullptr || (!path.empty() && parameter->n != path.back()->n)) {
      throw bad_input(file(at).where(), fmt::format("the parameter '{}' that a later step refers to is missing", name),
                      "the file is damaged");
    }
    path.push_back(parameter);
    if (!needs_parent(file(at).index(), *parameter)) break;
    if (at == 0) throw bad_input(file(at).where(), "a key frame refers to a parent", "the file is damaged");
  }
  assert(block_size(path.front()->n, block) == out.size());
  for (std::size_t i = path.size(); i-- > 0;) advance_reference(file(link - i), *path[i], block, out);
}

Bytes StepChain::chunk(std::size_t link, std::size_t number_of_file, std::size_t number) const {
  const StoredFile& stored = file(link).index().files[number_of_file];
  const StoredChunk& chunk = stored.chunks[number];
  // The recursion is as deep as the chain is long.
  const Bytes parent = chunk.after_parent && link > 0 ? this->chunk(link - 1, stored.name, number) : Bytes();
  return file(link).read_chunk(chunk, parent);
}

Bytes StepChain::chunk(std::size_t link, std::string_view name, std::size_t number) const {
  const auto found = links_[link].files.find(name);
  if (found == links_[link].files.end() || number >= file(link).index().files[found->second].chunks.size()) return {};
  return chunk(link, found->second, number);
}

}  // namespace kinglet::excp
