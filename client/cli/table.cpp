#include "table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace berth::cli {
namespace {

// Columns on the screen: bytes that begin a UTF-8 character.
size_t width_of(const std::string &cell) {
    return static_cast<size_t>(std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool starts_like_number(const std::string &cell) {
    return cell.empty() || cell == "-" || (cell[0] >= '0' && cell[0] <= '9');
}

std::string padded(const std::string &cell, size_t width, bool right) {
    std::string gap(width - std::min(width, width_of(cell)), ' ');
    return right ? gap + cell : cell + gap;
}

} // namespace

Table::Table(std::vector<std::string> headings) { rows_.push_back(std::move(headings)); }

void Table::add(std::vector<std::string> cells) {
    cells.resize(rows_[0].size());
    rows_.push_back(std::move(cells));
}

std::string Table::text() const {
    std::vector<size_t> widths(rows_[0].size());
    std::vector<bool> right(rows_[0].size(), true);
    for (size_t row = 0; row < rows_.size(); row++)
        for (size_t column = 0; column < widths.size(); column++) {
            widths[column] = std::max(widths[column], width_of(rows_[row][column]));
            if (row > 0 && !starts_like_number(rows_[row][column]))
                right[column] = false;
        }
    std::string out;
    for (const auto &row : rows_) {
        std::string line;
        for (size_t column = 0; column < row.size(); column++)
            line += (column ? "  " : "") + padded(row[column], widths[column], right[column]);
        out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    }
    return out;
}

std::string human_bytes(double bytes) {
    const char *units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++)
        bytes /= 1024;
    char text[32];
    snprintf(text, sizeof text, unit == 0 || bytes >= 100 || bytes == std::floor(bytes) ? "%.0f %s" : "%.1f %s", bytes,
             units[unit]);
    return text;
}

std::string human_number(double number) {
    char text[48];
    snprintf(text, sizeof text, number < 100 && number != std::floor(number) ? "%.1f" : "%.0f", number);
    std::string digits = text;
    size_t whole = std::min(digits.find('.'), digits.size());
    for (size_t at = whole; at > 3 && digits[at - 4] != '-'; at -= 3)
        digits.insert(at - 3, ",");
    return digits;
}

} // namespace berth::cli
