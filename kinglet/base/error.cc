#include "kinglet/base/error.h"

#include <cerrno>
#include <cstring>

namespace kinglet {
namespace {

std::string compose(std::string_view where, std::string_view what, std::string_view remedy) {
  std::string message;
  if (!where.empty()) message += printable(where) + ": ";
  message += printable(what);
  if (!remedy.empty()) message += " (" + printable(remedy) + ")";
  return message;
}

// Length of the valid UTF-8 sequence at text[i], or 0.
std::size_t utf8_length(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char lead = byte(i);
  const std::size_t length = lead < 0x80                   ? 1
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                             : lead >= 0xE0                ? 3
                             : lead >= 0xC2                ? 2
                                                           : 0;
  if (length == 0 || lead >= 0xF5 || i + length > text.size()) return 0;
  for (std::size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  }
  if (length == 3 && ((lead == 0xE0 && byte(i + 1) < 0xA0) || (lead == 0xED && byte(i + 1) > 0x9F))) return 0;
  if (length == 4 && ((lead == 0xF0 && byte(i + 1) < 0x90) || (lead == 0xF4 && byte(i + 1) > 0x8F))) return 0;
  return length;
}

}  // namespace

Error::Error(ErrorKind kind, std::string_view where, std::string_view what, std::string_view remedy)
    : std::runtime_error(compose(where, what, remedy)), kind_(kind) {}

int Error::exit_code() const noexcept {
  switch (kind_) {
    case ErrorKind::kBadInput:
      return 2;
    case ErrorKind::kInterrupted:
      return 130;
    case ErrorKind::kFailed:
      break;
  }
  return 1;
}

Error system_error(std::string_view where, std::string_view what, int error_number) {
  std::string_view remedy;
  switch (error_number) {
    case ENOSPC:
      remedy = "free some disk space and try again";
      break;
    case EDQUOT:
      remedy = "the disk quota is used up";
      break;
    case EACCES:
    case EPERM:
      remedy = "check the permissions";
      break;
    case EROFS:
      remedy = "the file system is read-only; choose another place";
      break;
    case ENOENT:
      remedy = "check the path";
      break;
    case EFBIG:
      remedy = "the file would exceed the size limit of this process or file system";
      break;
    default:
      break;
  }
  const bool users_path = error_number == ENOENT || error_number == ENOTDIR || error_number == EISDIR;
  return Error(users_path ? ErrorKind::kBadInput : ErrorKind::kFailed, where,
               fmt::format("{}: {}", what, std::strerror(error_number)), remedy);
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text, i);
    const auto byte = static_cast<unsigned char>(text[i]);
    // C1 controls (U+0080..U+009F) and the line separators could break a terminal line too.
    const bool c1_control = length == 2 && byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    const bool line_separator =
        length == 3 && text.substr(i, 2) == "\xE2\x80" && (text[i + 2] == '\xA8' || text[i + 2] == '\xA9');
    // U+FFFE and U+FFFF are no characters; XML forbids them.
    const bool no_character =
        length == 3 && text.substr(i, 2) == "\xEF\xBF" && (text[i + 2] == '\xBE' || text[i + 2] == '\xBF');
    if (length == 0 || (length == 1 && (byte < 0x20 || byte == 0x7F)) || c1_control || line_separator || no_character) {
      const std::size_t escaped = length == 0 ? 1 : length;
      for (std::size_t k = 0; k < escaped; ++k) {
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i + k]));
      }
      i += escaped;
    } else {
      out.append(text.substr(i, length));
      i += length;
    }
  }
  return out;
}

}  // namespace kinglet
