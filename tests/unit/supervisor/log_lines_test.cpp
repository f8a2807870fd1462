#include "supervisor/log_lines.h"

#include <doctest/doctest.h>

using namespace berth;
using Lines = std::vector<std::string>;

TEST_CASE("lines come out whole, however the bytes arrive") {
    LineSplitter splitter;
    CHECK(splitter.feed("one\ntw") == Lines{"one"});
    CHECK(splitter.feed("").empty());
    CHECK(splitter.feed("o\n\nthree\r\n") == Lines{"two", "", "three"});
    CHECK(splitter.finish().empty());
}

TEST_CASE("what stands without its newline comes at the end") {
    LineSplitter splitter;
    CHECK(splitter.feed("last words").empty());
    CHECK(splitter.finish() == Lines{"last words"});
    CHECK(splitter.finish().empty());
}

TEST_CASE("a line of exactly the limit is whole, a longer one is cut and its rest dropped") {
    std::string most(LineSplitter::kMaxLine, 'a');
    for (size_t step : {1u, 7u, 4096u, 100000u}) {
        CAPTURE(step);
        LineSplitter splitter;
        Lines lines;
        std::string input = most + "\n" + most + "b" + std::string(9000, 'c') + "\nnext\n";
        for (size_t at = 0; at < input.size(); at += step)
            for (auto &line : splitter.feed(std::string_view(input).substr(at, step)))
                lines.push_back(line);
        CHECK(lines == Lines{most, most, "next"});
        CHECK(splitter.finish().empty());
    }
}

TEST_CASE("binary is made printable and UTF-8 stays") {
    CHECK(printable("a\tb") == "a\tb");
    CHECK(printable(std::string_view("a\0b", 3)) == "a\\x00b");
    CHECK(printable("\x1b[31m") == "\\x1b[31m");
    CHECK(printable("\x7f") == "\\x7f");
    CHECK(printable("größe €") == "größe €");
    CHECK(printable("\xf0\x9f\x9a\xa2") == "\xf0\x9f\x9a\xa2");
    CHECK(printable("\xff\xfe") == "\\xff\\xfe");
    CHECK(printable("\xc0\xaf") == "\\xc0\\xaf");          // overlong
    CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80"); // surrogate
    CHECK(printable("x\xe2\x82") == "x\\xe2\\x82");        // cut short
    CHECK(printable("\xc2\x85") == "\\xc2\\x85");          // a control character of Latin-1
}

TEST_CASE("the tail keeps the last lines") {
    LogTail tail;
    CHECK(tail.text().empty());
    for (int i = 1; i <= 25; i++)
        tail.push("line " + std::to_string(i));
    auto text = tail.text();
    CHECK(text.starts_with("line 6\n"));
    CHECK(text.ends_with("\nline 25"));
}

TEST_CASE("the tail keeps no more than its bytes, and a long line's head") {
    LogTail tail;
    for (int i = 0; i < 10; i++)
        tail.push(std::string(1000, static_cast<char>('a' + i)));
    CHECK(tail.text().size() <= LogTail::kMaxBytes);
    CHECK(tail.text().ends_with("\n" + std::string(1000, 'j')));
    CHECK(tail.text().starts_with(std::string(1000, 'g')));
    tail.push(std::string(5000, 'z'));
    CHECK(tail.text() == std::string(LogTail::kMaxBytes - 1, 'z'));
    std::string wide = "x";
    for (int i = 0; i < 2000; i++)
        wide += "€";
    tail.push(wide);
    CHECK(tail.text().size() == 1 + 3 * ((LogTail::kMaxBytes - 2) / 3));
}
