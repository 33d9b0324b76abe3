#include "kinglet/cli/torch_module.h"

#include <filesystem>
#include <vector>

#include <dlfcn.h>

#include "kinglet/base/error.h"

namespace kinglet::cli {
namespace fs = std::filesystem;

void* find_torch_entry(const char* name) {
  constexpr const char* kModule = "libkinglet_torch.so";
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  std::vector<fs::path> candidates = {program / kModule, program / ".." / "lib" / kModule,
                                      program / ".." / "lib" / "kinglet" / kModule};
  std::erase_if(candidates, [&](const fs::path& path) { return !fs::exists(path, ignored); });
  candidates.emplace_back(kModule);  // the dynamic loader's own search path

  // RTLD_GLOBAL is not wanted: LibTorch brings its own copies of common libraries.
  void* module = dlopen(candidates.front().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    throw failed(kModule, dlerror(), "this command needs LibTorch; run scripts/setup and scripts/build");
  }
  void* entry = dlsym(module, name);
  if (entry == nullptr) throw failed(kModule, dlerror(), "the module and the program differ; build both again");
  return entry;
}

}  // namespace kinglet::cli
