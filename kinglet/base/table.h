// A text table with aligned columns for people, written to stdout by the commands.
#pragma once

#include <string>
#include <vector>

namespace kinglet {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns);
  void add_row(std::vector<std::string> cells);  // as many cells as columns
  bool empty() const { return rows_.empty(); }

  std::string to_text() const;  // columns padded with blanks, widths counted in code points
  std::string to_markdown() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace kinglet
