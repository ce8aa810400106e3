// The words of PTX text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fallow::ptx {

// A run of letters, digits and _ . $ %, or any other character by itself, or a "string" without
// its quotes.
struct Token {
  std::string text;
  int line = 0;
};

// Without comments; the last token is empty.
std::vector<Token> Tokenize(std::string_view text);

}  // namespace fallow::ptx
