#include "server/outbox.h"

#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

constexpr std::int64_t kRowBytes = 1 << 14;  // four rows a chunk

std::string Rows(std::int64_t begin, std::int64_t end) {
  std::string rows;
  for (std::int64_t i = begin; i < end; ++i) rows.append(kRowBytes, static_cast<char>('a' + i));
  return rows;
}

void CheckHolds(const Outbox& outbox, std::int64_t begin, std::int64_t end) {
  REQUIRE(outbox.begin() == begin);
  REQUIRE(outbox.end() == end);
  CHECK(outbox.bytes() == (end - begin) * kRowBytes);
  for (std::int64_t i = begin; i < end; ++i) CHECK(outbox.Row(i) == Rows(i, i + 1));
}

TEST_CASE("an outbox holds rows by position, however they came", "[server][outbox]") {
  for (const std::int64_t part : {1, 3, 4, 5, 11}) {
    CAPTURE(part);
    Outbox outbox(kRowBytes);
    for (std::int64_t i = 0; i < 11; i += part) outbox.Append(Rows(i, std::min(i + part, 11L)));
    CheckHolds(outbox, 0, 11);
  }
}

TEST_CASE("an outbox drops whole chunks that are not needed", "[server][outbox]") {
  Outbox outbox(kRowBytes);
  CHECK_FALSE(outbox.DropOldest(100));
  outbox.Append(Rows(0, 10));
  CHECK_FALSE(outbox.DropOldest(3));
  CHECK(outbox.DropOldest(4));
  CheckHolds(outbox, 4, 10);
  CHECK(outbox.DropOldest(100));
  CHECK(outbox.DropOldest(100));
  CheckHolds(outbox, 10, 10);
  outbox.Append(Rows(10, 12));
  CheckHolds(outbox, 10, 12);
}

TEST_CASE("an outbox goes on after it was truncated", "[server][outbox]") {
  for (const std::int64_t end : {4, 5, 7, 8, 9}) {
    CAPTURE(end);
    Outbox outbox(kRowBytes);
    outbox.Append(Rows(0, 10));
    REQUIRE(outbox.DropOldest(4));
    outbox.Truncate(12);
    CheckHolds(outbox, 4, 10);
    outbox.Truncate(end);
    CheckHolds(outbox, 4, end);
    outbox.Append(Rows(end, end + 6));
    CheckHolds(outbox, 4, end + 6);
  }
  Outbox outbox(kRowBytes);
  outbox.Append(Rows(0, 10));
  REQUIRE(outbox.DropOldest(4));
  outbox.Truncate(2);
  CheckHolds(outbox, 2, 2);
}

TEST_CASE("rows larger than a chunk lie in one each", "[server][outbox]") {
  Outbox outbox(100'000);
  outbox.Append(std::string(100'000, 'a') + std::string(100'000, 'b'));
  CHECK(outbox.Row(1) == std::string(100'000, 'b'));
  CHECK(outbox.DropOldest(1));
  CHECK(outbox.begin() == 1);
}

}  // namespace
}  // namespace fallow
