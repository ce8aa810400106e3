#include "tests/ptx/token_reader.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tests/ptx/program.h"

namespace fallow::ptx {

std::string TokenReader::SourceOf(int line) const {
  if (line < 1 || line > static_cast<int>(lines_.size())) return "";
  return std::string(absl::StripAsciiWhitespace(lines_[line - 1]));
}

const std::string& TokenReader::Peek(int ahead) const {
  const std::size_t last = tokens_.size() - 1;
  return tokens_[ok() ? std::min(at_ + ahead, last) : last].text;
}

std::string TokenReader::Take() {
  const std::string word = Peek();
  if (!AtEnd()) ++at_;
  return word;
}

bool TokenReader::TakeIf(std::string_view word) {
  if (Peek() != word) return false;
  Take();
  return true;
}

void TokenReader::Expect(std::string_view word) {
  if (!TakeIf(word)) {
    Fail(absl::StrCat("'", std::string(word), "' expected before '", Peek(), "'"));
  }
}

bool TokenReader::IsNumber() const {
  const std::string& word = Peek();
  return word == "-" || (!word.empty() && std::isdigit(static_cast<unsigned char>(word[0])));
}

std::uint64_t TokenReader::TakeNumber() {
  const bool negative = TakeIf("-");
  const std::string word = Take();
  const bool is_float = word.size() > 2 && word[0] == '0' && std::strchr("fFdD", word[1]);
  char* end = nullptr;
  const std::uint64_t value =
      is_float ? std::strtoull(word.c_str() + 2, &end, 16) : std::strtoull(word.c_str(), &end, 0);
  if (word.empty() || (*end != '\0' && *end != 'U'))
    Fail(absl::StrCat("'", word, "' is no number"));
  return negative ? -value : value;
}

void TokenReader::Fail(const std::string& what) {
  if (ok()) error_ = absl::StrCat("line ", line(), ": ", what, ": ", SourceOf(line()));
}

Declaration ReadDeclaration(TokenReader& reader) {
  Declaration declared;
  while (reader.ok() && reader.Peek()[0] == '.') {
    const std::string word = reader.Take();
    if (word == ".align") {
      declared.align = static_cast<std::int64_t>(reader.TakeNumber());
    } else if (const int bytes = BytesOf(TypeNamed(word.substr(1)))) {
      declared.element_bytes = bytes;
    }  // else of what a pointer points to
  }
  declared.name = reader.Take();
  declared.bytes = declared.element_bytes;
  while (reader.TakeIf("[")) {
    declared.bytes *= reader.Peek() == "]" ? 0 : static_cast<std::int64_t>(reader.TakeNumber());
    reader.Expect("]");
  }
  if (declared.element_bytes == 0) reader.Fail("a variable without a type");
  declared.align = std::max(declared.align, declared.element_bytes);
  return declared;
}

}  // namespace fallow::ptx
