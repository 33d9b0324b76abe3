#include "kinglet/base/table.h"

#include <gtest/gtest.h>

namespace kinglet {
namespace {

Table sample() {
  Table table({{"name"}, {"size", Table::Align::kRight}, {"note"}});
  table.add_row({"a", "10", "x"});
  table.add_row({"caf\xC3\xA9", "1", ""});
  return table;
}

TEST(Table, AlignsByCodePointsWithoutTrailingBlanks) {
  EXPECT_EQ(sample().to_text(),
            "name  size  note\n"
            "----  ----  ----\n"
            "a       10  x\n"
            "caf\xC3\xA9     1\n");
}

TEST(Table, Markdown) {
  EXPECT_EQ(sample().to_markdown(),
            "| name | size | note |\n"
            "|---|---:|---|\n"
            "| a | 10 | x |\n"
            "| caf\xC3\xA9 | 1 |  |\n");
}

TEST(Table, MarkdownEscapesBars) {
  Table table({{"a|b"}});
  EXPECT_TRUE(table.empty());
  table.add_row({"c|d"});
  EXPECT_FALSE(table.empty());
  EXPECT_EQ(table.to_markdown(), "| a\\|b |\n|---|\n| c\\|d |\n");
}

TEST(Table, WideCellsWidenTheColumn) {
  Table table({{"x"}, {"y"}});
  table.add_row({"longer", "z"});
  EXPECT_EQ(table.to_text(), "x       y\n------  -\nlonger  z\n");
}

}  // namespace
}  // namespace kinglet
