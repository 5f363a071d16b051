#include "testing/explorer/fiber.h"

#include <cxxabi.h>

#include <cstring>
#include <utility>
#include <vector>

namespace inferkit::explorer {

namespace {

// A run takes less time than the system needs to map the stacks for it.
std::vector<std::unique_ptr<std::byte[]>> spare_stacks;

}  // namespace

Fiber::~Fiber() {
  if (stack_) spare_stacks.push_back(std::move(stack_));
}

void Fiber::start(Entry entry) {
  if (!stack_ && !spare_stacks.empty()) {
    stack_ = std::move(spare_stacks.back());
    spare_stacks.pop_back();
  }
  if (!stack_) stack_ = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
}

// The exceptions that are being handled belong to the fiber, but the runtime keeps them by thread.
void Fiber::switch_to(Fiber& from, Fiber& to) {
  void* handled = abi::__cxa_get_globals();
  std::memcpy(from.handled_.data(), handled, from.handled_.size());
  std::memcpy(handled, to.handled_.data(), to.handled_.size());
  swapcontext(&from.context_, &to.context_);
}

}  // namespace inferkit::explorer
