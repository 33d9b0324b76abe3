#include "kinglet/serve/page.h"

#include "kinglet/serve/page_content.h"

namespace kinglet {
namespace {

constexpr PageFile kFiles[] = {
    {"/", "text/html; charset=utf-8", page_content::k_index_html},
    {"/page.css", "text/css; charset=utf-8", page_content::k_page_css},
    {"/page.js", "text/javascript; charset=utf-8", page_content::k_page_js},
    {"/forest.js", "text/javascript; charset=utf-8", page_content::k_forest_js},
    {"/tree.js", "text/javascript; charset=utf-8", page_content::k_tree_js},
    {"/stream.js", "text/javascript; charset=utf-8", page_content::k_stream_js},
    {"/tokens.js", "text/javascript; charset=utf-8", page_content::k_tokens_js},
    {"/icon.svg", "image/svg+xml", page_content::k_icon_svg},
};

}  // namespace

std::span<const PageFile> page_files() { return kFiles; }

const PageFile* find_page_file(std::string_view path) {
  for (const PageFile& file : kFiles) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

}  // namespace kinglet
