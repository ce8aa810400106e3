// Ends with 0 if the system lets a process use AMX. CPUID may report it where it does not.
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
constexpr int kTileData = 18;

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t rest[63] = {};
};

// Faults where the tiles are not enabled.
__attribute__((target("amx-tile"))) void LoadAndRelease(const TileConfig& config) {
  _tile_loadconfig(&config);
  _tile_release();
}

int main() {
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return 1;
  LoadAndRelease(TileConfig{});
}
