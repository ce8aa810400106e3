// A pass for the emulated kernels of this folder, with no more memory than each row may touch.
#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/cuda/emulated.h"
#include "kernels/exact_math.h"

namespace fallow::emulated {
namespace {

using cuda::emulator::Memory;

// Grants until it goes.
class Grants {
 public:
  void Add(Memory* memory) { memory_.emplace_back(memory); }

 private:
  std::vector<std::unique_ptr<Memory>> memory_;
};

std::int64_t Extent(const std::vector<PassRow>& rows, std::int64_t stride, std::int64_t numbers) {
  std::int64_t last = 0;
  for (const PassRow& row : rows) last = std::max(last, row.row);
  return last * stride + numbers;
}

// Page ids up to each row's position.
void GrantIds(const std::vector<PassRow>& rows, Grants& grants) {
  for (const PassRow& row : rows) {
    grants.Add(new Memory(Memory::Read(row.pages, row.position / kPagePositions + 1)));
  }
}

int MostChunks(const std::vector<PassRow>& rows, int window) {
  std::int64_t most = 0;
  for (const PassRow& row : rows) {
    const Range visible = VisiblePositions(row.position, window);
    const std::int64_t end = (visible.end + exact::kChunk - 1) / exact::kChunk;
    most = std::max(most, end - visible.begin / exact::kChunk);
  }
  return static_cast<int>(most);
}

void AttendItem(const AttentionArgs& args, const AttentionItem& item) {
  const Range of_pass = {item.run->first_row + item.rows.begin,
                         item.run->first_row + item.rows.end};
  const std::vector<PassRow> rows = PassRows({item.run, 1}, of_pass);
  const KvLayout& layout = args.kv.layout;
  const auto count = static_cast<std::int64_t>(rows.size());
  const std::int64_t numbers = std::int64_t{args.heads} * layout.head_dim;
  Grants grants;
  GrantIds(rows, grants);
  for (const PassRow& row : rows) {
    const Range visible = VisiblePositions(row.position, args.window);
    for (std::int64_t page = visible.begin / kPagePositions; page * kPagePositions < visible.end;
         ++page) {
      const std::uint8_t* head = args.kv.head_page(row.pages[page], item.kv_head);
      grants.Add(new Memory(Memory::Read(head, layout.head_bytes())));
    }
  }
  const auto list = Memory::Read(rows.data(), count);
  const auto query = Memory::Read(args.query, Extent(rows, args.query_stride, numbers));
  const auto slopes = Memory::Read(args.slopes, args.heads);
  const auto out = Memory::Write(args.out, Extent(rows, args.out_stride, numbers));
  DeviceRows device{.rows = rows.data(), .count = count, .chunks = MostChunks(rows, args.window)};
  std::vector<float> scratch;
  if (count < kAttentionRows) {  // so both ways are used
    scratch.resize(count * args.heads * device.chunks * (layout.head_dim + 2), exact::kNoNumber);
    device.scratch = scratch.data();
  }
  const auto shared = Memory::ReadWrite(device.scratch, std::ssize(scratch));  // of two launches
  AttendRows(args, device, {item.kv_head, item.kv_head + 1});
}

}  // namespace

void Append(const AppendArgs& args, Range rows) {
  const std::vector<PassRow> list = PassRows(args.runs, rows);
  const KvLayout& layout = args.kv.layout;
  const auto count = static_cast<std::int64_t>(list.size());
  const std::int64_t numbers = std::int64_t{layout.kv_heads} * layout.head_dim;
  Grants grants;
  GrantIds(list, grants);
  for (const PassRow& row : list) {
    std::uint8_t* page = args.kv.head_page(row.pages[row.position / kPagePositions], 0);
    grants.Add(new Memory(Memory::ReadWrite(page, layout.block_bytes())));
  }
  const auto granted = Memory::Read(list.data(), count);
  const auto key = Memory::Read(args.key, Extent(list, args.stride, numbers));
  const auto value = Memory::Read(args.value, Extent(list, args.stride, numbers));
  AppendRows(args, list.data(), count);
}

void Attention(const AttentionArgs& args, Range items) {
  for (std::int64_t i = items.begin; i < items.end; ++i) {
    AttendItem(args, AttentionItemAt(args, i));
  }
}

}  // namespace fallow::emulated
