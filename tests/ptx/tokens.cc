#include "tests/ptx/tokens.h"

#include <cctype>

namespace fallow::ptx {
namespace {

bool IsWordCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '$' ||
         c == '%';
}

}  // namespace

std::vector<Token> Tokenize(std::string_view text) {
  std::vector<Token> tokens;
  int line = 1;
  std::size_t at = 0;
  const auto take = [&](std::size_t end) {
    const std::string_view taken = text.substr(at, end - at);
    for (char c : taken) line += c == '\n';
    at += taken.size();
    return taken;
  };
  while (at < text.size()) {
    const char c = text[at];
    if (std::isspace(static_cast<unsigned char>(c))) {
      take(at + 1);
    } else if (text.substr(at, 2) == "//") {
      take(text.find('\n', at));
    } else if (text.substr(at, 2) == "/*") {
      take(text.find("*/", at + 2));
      take(at + 2);
    } else if (c == '"') {
      take(at + 1);
      tokens.push_back({std::string(take(text.find('"', at))), line});
      take(at + 1);
    } else {
      std::size_t end = at + 1;
      while (IsWordCharacter(c) && end < text.size() && IsWordCharacter(text[end])) ++end;
      tokens.push_back({std::string(take(end)), line});
    }
  }
  tokens.push_back({"", line});
  return tokens;
}

}  // namespace fallow::ptx
