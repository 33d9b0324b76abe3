// What the tour found: one row a system for the terminal, and a self-contained HTML page with plots.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kinglet::cli {

struct TourRow {
  std::string system;
  std::string done;     // what was done, on which data
  std::string result;   // the number
  std::string control;  // the same number without the method
  std::string command;  // what a user types for their own data
};

struct TourTable {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

struct TourSection {
  std::string title;
  std::vector<std::string> paragraphs;  // plain text
  std::vector<TourTable> tables;
  std::vector<std::string> plots;  // SVG documents
  std::string quote;               // what a model wrote, lines and all
};

struct TourReport {
  std::vector<TourRow> rows;
  std::vector<TourSection> sections;
  nlohmann::ordered_json numbers;  // every figure, for --json
  double seconds = 0;
};

std::string to_terminal(const TourReport& report);
std::string to_html(const TourReport& report);

}  // namespace kinglet::cli
