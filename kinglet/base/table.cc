#include "kinglet/base/table.h"

#include <algorithm>
#include <cassert>
#include <string_view>

namespace kinglet {
namespace {

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string padded(const std::string& cell, std::size_t width, Table::Align align) {
  const std::size_t length = code_points(cell);
  const std::string blanks(width > length ? width - length : 0, ' ');
  return align == Table::Align::kLeft ? cell + blanks : blanks + cell;
}

}  // namespace

Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

void Table::add_row(std::vector<std::string> cells) {
  assert(cells.size() == columns_.size());
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::to_text() const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(code_points(column.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], code_points(row[i]));
  }
  std::string text;
  const auto append_line = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) line += "  ";
      line += padded(cell_of(i), widths[i], columns_[i].align);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  append_line([&](std::size_t i) { return columns_[i].title; });
  append_line([&](std::size_t i) { return std::string(widths[i], '-'); });
  for (const auto& row : rows_) append_line([&](std::size_t i) { return row[i]; });
  return text;
}

std::string Table::to_markdown() const {
  const auto escaped = [](const std::string& cell) {
    std::string out;
    for (const char c : cell) out += c == '|' ? std::string("\\|") : std::string(1, c);
    return out;
  };
  std::string text = "|";
  for (const Column& column : columns_) text += " " + escaped(column.title) + " |";
  text += "\n|";
  for (const Column& column : columns_) text += column.align == Align::kLeft ? "---|" : "---:|";
  text += "\n";
  for (const auto& row : rows_) {
    text += "|";
    for (const std::string& cell : row) text += " " + escaped(cell) + " |";
    text += "\n";
  }
  return text;
}

}  // namespace kinglet
