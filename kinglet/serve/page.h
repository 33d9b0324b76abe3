// The files of the web page, which are parts of the program.
#pragma once

#include <span>
#include <string_view>

namespace kinglet {

struct PageFile {
  std::string_view path;  // "/page.js"
  std::string_view type;
  std::string_view content;
};

std::span<const PageFile> page_files();
const PageFile* find_page_file(std::string_view path);  // null: there is none

// No script, style or connection but the server's own.
inline constexpr std::string_view kPagePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

}  // namespace kinglet
