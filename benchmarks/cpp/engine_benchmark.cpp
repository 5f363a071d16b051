// A request through the whole engine, over a model that only copies its row: all but the model.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "support/function_backend.h"
#include "support/views.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

constexpr std::int64_t kWidth = 32;

// y = x, float32 [-1, 32].
void copy(std::span<const TensorView> inputs, std::span<OutputSlot> outputs) {
  place(outputs[0], inputs[0].shape);
  const std::size_t bytes = *checked_bytes(DType::float32, inputs[0].shape.dims());
  std::memcpy(outputs[0].view.data, inputs[0].data, bytes);
}

std::shared_ptr<Engine> open_engine() {
  EngineOptions options;
  options.instances = 1;
  const Signature signature = signature_of({spec_of("x", DType::float32, {-1, kWidth})},
                                           {spec_of("y", DType::float32, {-1, kWidth})});
  return Engine::open(std::make_unique<FunctionBackend>(signature, copy), options);
}

// Admitted, queued, claimed, run on the caller's own thread, answered, released.
void a_lone_caller(benchmark::State& state) {
  const auto engine = open_engine();
  Values<float> row(DType::float32, {1, kWidth}, std::vector<float>(kWidth));
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
