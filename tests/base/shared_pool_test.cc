// The pool that the models of a process share.

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/worker_pool.h"
#include "catch2/catch_test_macros.hpp"

namespace fallow {
namespace {

TEST_CASE("models that ask for all cores share them, others do not", "[base][worker_pool]") {
  const auto first = WorkerPool::ForModel(0);
  CHECK((WorkerPool::ForModel(0) == first) == (first->size() > 1));
  const auto own = WorkerPool::ForModel(3);
  CHECK(own->size() == 3);
  CHECK(WorkerPool::ForModel(3) != own);
}

TEST_CASE("the shared pool ends with its last user", "[base][worker_pool]") {
  std::weak_ptr<WorkerPool> seen;
  for (int i = 0; i < 3; ++i) {
    CHECK(seen.expired());
    const auto pool = WorkerPool::ForModel(0);
    seen = pool;
    pool->Run([](int) {});
  }
}

TEST_CASE("models come, compute and go on several threads", "[base][worker_pool][threads]") {
  std::atomic<int> calls = 0;
  std::vector<std::thread> models;
  for (int i = 0; i < 4; ++i) {
    models.emplace_back([&] {
      for (int j = 0; j < 50; ++j) {
        const auto pool = WorkerPool::ForModel(0);
        pool->Run([&](int worker) { calls += worker == 0; });
      }
    });
  }
  for (std::thread& model : models) model.join();
  CHECK(calls == 4 * 50);
}

}  // namespace
}  // namespace fallow
