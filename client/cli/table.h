// Rows of text in aligned columns.
#pragma once

#include <string>
#include <vector>

namespace berth::cli {

class Table {
  public:
    explicit Table(std::vector<std::string> headings);
    void add(std::vector<std::string> cells); // missing cells are empty
    bool empty() const { return rows_.size() == 1; }
    // Columns whose cells are all numbers (with a unit or not) stand to the right. Ends with a newline.
    std::string text() const;

  private:
    std::vector<std::vector<std::string>> rows_; // the first is the headings
};

// "12.3 MiB"
std::string human_bytes(double bytes);
// At least three digits, rounded to 0.1 below 100: "317", "42.5", "3,120,000".
std::string human_number(double number);

} // namespace berth::cli
