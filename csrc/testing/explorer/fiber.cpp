#include "testing/explorer/fiber.h"

namespace inferkit::explorer {

void Fiber::start(Entry entry) {
  if (!stack_) stack_ = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
}

void Fiber::switch_to(Fiber& from, Fiber& to) { swapcontext(&from.context_, &to.context_); }

}  // namespace inferkit::explorer
