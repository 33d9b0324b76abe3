// One line of JSON as a document.
#pragma once

#include <string>
#include <string_view>

#include "kinglet/text/documents.h"

namespace kinglet {

// The format of a file whose first line with content is `line`. Raises Error (bad input) for JSON of no known shape.
DocumentFormat detect_format(std::string_view line, const std::string& where);

// Raises Error (bad input) that names `where` and the field for a record that does not fit `format` (not kText).
Document parse_record(std::string_view line, DocumentFormat format, const std::string& where);

}  // namespace kinglet
