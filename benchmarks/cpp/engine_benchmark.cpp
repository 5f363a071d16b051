// A request through the whole engine, over a model that only copies its row: all but the model.
#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "engine/engine.h"
#include "rows.h"

using namespace inferkit;
using namespace inferkit::benchmarks;

namespace {

constexpr std::int64_t kWidth = 32;

// y = x, float32 [-1, 32]. Threads: any.
class CopyingBackend final : public Backend {
 public:
  [[nodiscard]] const Signature& signature() const noexcept override { return signature_; }
  [[nodiscard]] std::vector<std::string> notes() const override { return {"copies"}; }
  void run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
           const RunContext& /*context*/) override {
    const Shape shape = inputs[0].shape;
    const std::size_t bytes = *checked_bytes(DType::float32, shape.dims());
    OutputSlot& y = outputs[0];
    if (y.view.data == nullptr || !(y.view.shape == shape)) make_room(y, shape, bytes);
    std::memcpy(y.view.data, inputs[0].data, bytes);
  }
  void keep_alone_session(bool /*keep*/) override {}

 private:
  // For warm-up only: what it learns lets the engine give the room.
  static void make_room(OutputSlot& slot, const Shape& shape, std::size_t bytes) {
    auto block = std::make_unique<Block>();
    block->data = new std::byte[bytes];
    block->recycle = [](Block* dead) noexcept {
      delete[] dead->data;
      delete dead;
    };
    block->refs.store(1);
    slot.view.data = block->data;
    slot.view.shape = shape;
    slot.owner = BlockRef::adopt(block.release());
  }

  Signature signature_ = row_wise(DType::float32, kWidth);
};

std::shared_ptr<Engine> open_engine() {
  EngineOptions options;
  options.instances = 1;
  return Engine::open(std::make_unique<CopyingBackend>(), options);
}

// Admitted, queued, claimed, run on the caller's own thread, answered, released.
void a_lone_caller(benchmark::State& state) {
  const auto engine = open_engine();
  ARow row(DType::float32, kWidth);
  const TensorView view = row.view();
  for (auto _ : state) {
    EngineRequest* request = engine->admit({&view, 1}, {}, IfFull::fail);
    engine->start(request);
    static_cast<void>(engine->await(request, kNever));
    benchmark::DoNotOptimize(request->result->outputs()[0].view.data);
    engine->release(request);
  }
  engine->close(true, kNever);
}
BENCHMARK(a_lone_caller);

}  // namespace
