#include "backend/ort_memory.h"

#include <utility>

#include "backend/ort_status.h"
#include "base/atom.h"
#include "base/error.h"
#include "memory/host_resource.h"
#include "memory/size_class.h"

namespace inferkit::ort {
namespace {

// Before the bytes that ONNX Runtime sees, which so stay aligned to the cache line, as its kernels
// want them.
struct alignas(kCacheLineBytes) Header {
  Block* block;
  bool resident;
};

// Of this thread; null: as much as there is.
thread_local std::size_t* ration = nullptr;
thread_local bool loading = false;

void take_from_ration(std::size_t bytes) {
  if (bytes > *ration)
    fail(ErrorCode::out_of_memory, "out of memory: the run took more than it may");
  *ration -= bytes;
}

}  // namespace

Ration::Ration(std::size_t& left_bytes) noexcept { ration = &left_bytes; }
Ration::~Ration() { ration = nullptr; }

Loading::Loading() noexcept { loading = true; }
Loading::~Loading() { loading = false; }

Memory::Memory(const Api& api, Env* env)
    : pool_(TensorPool::create(host_resource(), kLargestBlockBytes)), info_(api) {
  check(api, api.CreateCpuMemoryInfo(kDeviceAllocator, kMemoryDefault, info_.out()),
        ErrorCode::runtime_not_found, "describe memory");
  door_.version = kBaselineApi;
  door_.Alloc = &Memory::allocate;
  door_.Free = &Memory::give_back;
  door_.Info = &Memory::describe;
  door_.Reserve = &Memory::allocate;
  door_.memory = this;
  if (Status* const refused = api.RegisterAllocator(env, &door_)) {
    refusal_ = take_error(api, refused, ErrorCode::backend, "register an allocator").message();
  }
}

// The error passes through ONNX Runtime, which catches what its own allocators throw as well: a
// null pointer it would write to.
void* Memory::allocate(Allocator* door, std::size_t bytes) {
  if (bytes == 0) return nullptr;
  if (bytes > kLargestBlockBytes) {
    fail(ErrorCode::out_of_memory, "out of memory: no system has ", bytes, " bytes");
  }
  if (ration != nullptr) take_from_ration(bytes);
  BlockRef block = static_cast<Door*>(door)->memory->pool_->allocate(sizeof(Header) + bytes);
  auto* const header = new (block.data()) Header;
  header->resident = loading;
  if (loading) {
    static_cast<Door*>(door)->memory->pool_->count_resident(
        static_cast<std::int64_t>(block.size_bytes()));
  }
  header->block = block.detach();
  return header + 1;
}

void Memory::give_back(Allocator* door, void* data) noexcept {
  if (data == nullptr) return;
  const Header* const header = static_cast<Header*>(data) - 1;
  if (header->resident) {
    static_cast<Door*>(door)->memory->pool_->count_resident(
        -static_cast<std::int64_t>(header->block->size_bytes));
  }
  header->block->release();
}

const MemoryInfo* Memory::describe(const Allocator* door) noexcept {
  return static_cast<const Door*>(door)->memory->info_.get();
}

}  // namespace inferkit::ort
