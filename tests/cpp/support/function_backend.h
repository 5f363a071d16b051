// A backend that is a function of the test.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"

namespace inferkit::testing {

// Gives an output of that shape room where the engine has none, or other room: then the slot owns
// it.
inline void place(OutputSlot& slot, const Shape& shape) {
  if (slot.view.data == nullptr || !(slot.view.shape == shape)) {
    const std::size_t bytes = checked_bytes(slot.view.dtype, shape.dims()).value();
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
}

// Threads: run() as the engine calls it; the function sees to its own state.
class FunctionBackend : public Backend {
 public:
  using Run = std::function<void(std::span<const TensorView>, std::span<OutputSlot>)>;

  FunctionBackend(Signature signature, Run run)
      : signature_(std::move(signature)), run_(std::move(run)) {}

  [[nodiscard]] const Signature& signature() const noexcept override { return signature_; }
  [[nodiscard]] std::vector<std::string> notes() const override { return {"a function"}; }
  void run(std::span<const TensorView> inputs, std::span<OutputSlot> outputs,
           const RunContext& context) override {
    run_(inputs, outputs);
    if ((told_to_stop_.load() & 1U << context.instance) != 0) throw RunStopped();
  }
  void stop_run(std::uint32_t instance) noexcept override {
    told_to_stop_.fetch_or(1U << instance);
  }
  void resume_runs(std::uint32_t instance) noexcept override {
    if (!stopped_for_good_.load()) told_to_stop_.fetch_and(~(1U << instance));
  }
  void stop_runs() noexcept override {
    stopped_for_good_.store(true);
    told_to_stop_.store(~0U);
  }
  void keep_alone_session(bool /*keep*/) override {}

 private:
  Signature signature_;
  Run run_;
  std::atomic<bool> stopped_for_good_{false};
  std::atomic<std::uint32_t> told_to_stop_{0};  // a bit for each instance; seen when a run is over
};

}  // namespace inferkit::testing
