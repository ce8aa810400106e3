#include "server/work_meter.h"

#include "server/limits.h"

namespace fallow {

WorkMeter::WorkMeter(const SessionId& session, const PeerId& client, int blocks)
    : done_{.session = session, .client = client}, blocks_(blocks) {
  for (crypto_generichash_state* hash : {&input_, &output_}) {
    crypto_generichash_init(hash, nullptr, 0, done_.input_hash.size());
  }
}

void WorkMeter::Add(crypto_generichash_state& hash, std::string_view bytes) {
  crypto_generichash_update(&hash, reinterpret_cast<const unsigned char*>(bytes.data()),
                            bytes.size());
}

bool WorkMeter::AddStep(std::int64_t rows) {
  done_.rows += rows;
  done_.block_rows += rows * blocks_;
  return ++done_.steps % kReceiptSteps == 0;
}

WorkDone WorkMeter::done() const {
  WorkDone done = done_;
  crypto_generichash_state input = input_;  // the hashes run on
  crypto_generichash_state output = output_;
  crypto_generichash_final(&input, done.input_hash.data(), done.input_hash.size());
  crypto_generichash_final(&output, done.output_hash.data(), done.output_hash.size());
  return done;
}

}  // namespace fallow
