// Takes tokens one by one and keeps the first error, after which every call yields nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/ptx/tokens.h"

namespace fallow::ptx {

class TokenReader {
 public:
  TokenReader(std::vector<Token> tokens, std::vector<std::string> lines)
      : tokens_(std::move(tokens)), lines_(std::move(lines)) {}

  bool ok() const { return error_.empty(); }
  const std::string& error() const { return error_; }  // "line 7: ...: the line's text"
  bool AtEnd() const { return !ok() || at_ + 1 >= tokens_.size(); }
  int line() const { return tokens_[at_].line; }
  std::string SourceOf(int line) const;  // without the blanks around it

  const std::string& Peek(int ahead = 0) const;
  std::string Take();
  bool TakeIf(std::string_view word);
  void Expect(std::string_view word);
  // 12, -12, 0x1f, 0f3F800000 and 0d3FF0000000000000, as bits.
  std::uint64_t TakeNumber();
  bool IsNumber() const;
  void Fail(const std::string& what);

 private:
  std::vector<Token> tokens_;
  std::vector<std::string> lines_;
  std::size_t at_ = 0;
  std::string error_;
};

// .align 16 .b8 name[64], after its state space. An array without a size has no bytes.
struct Declaration {
  std::string name;
  std::int64_t align = 1;
  std::int64_t element_bytes = 0;
  std::int64_t bytes = 0;
};

Declaration ReadDeclaration(TokenReader& reader);

}  // namespace fallow::ptx
