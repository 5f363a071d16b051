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
  TensorPool* payer;  // null: nobody
  bool resident;
};

// What this thread does. One object: to find a thread's own costs a call.
struct Here {
  std::size_t* ration = nullptr;  // null: as much as there is
  TensorPool* payer = nullptr;
  bool loading = false;
};
thread_local Here here;

void take_from(std::size_t& ration, std::size_t bytes) {
  if (bytes > ration)
    fail(ErrorCode::out_of_memory, "out of memory: the run took more than it may");
  ration -= bytes;
}

void charge(TensorPool& payer, std::size_t bytes) {
  if (payer.charge(bytes)) return;
  fail(ErrorCode::out_of_memory, "out of memory: no room for ", bytes, " bytes more, ",
       payer.stats().bytes_in_use, " of max_memory_bytes (", payer.budget_bytes(), ") are in use");
}

}  // namespace

Ration::Ration(std::size_t& left_bytes) noexcept { here.ration = &left_bytes; }
Ration::~Ration() { here.ration = nullptr; }

Charged::Charged(TensorPool& payer) noexcept { here.payer = &payer; }
Charged::~Charged() { here.payer = nullptr; }

Loading::Loading() noexcept { here.loading = true; }
Loading::~Loading() { here.loading = false; }

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
  const Here at = here;
  if (at.ration != nullptr) take_from(*at.ration, bytes);
  TensorPool& pool = *static_cast<Door*>(door)->memory->pool_;
  BlockRef block = pool.allocate(sizeof(Header) + bytes);
  if (at.payer != nullptr) charge(*at.payer, block.size_bytes());
  if (at.loading) pool.count_resident(static_cast<std::int64_t>(block.size_bytes()));
  std::byte* const data = block.data();
  return new (data) Header{block.detach(), at.payer, at.loading} + 1;
}

void Memory::give_back(Allocator* door, void* data) noexcept {
  if (data == nullptr) return;
  const Header header = static_cast<Header*>(data)[-1];
  const std::size_t bytes = header.block->size_bytes;
  if (header.resident) {
    static_cast<Door*>(door)->memory->pool_->count_resident(-static_cast<std::int64_t>(bytes));
  }
  header.block->release();
  if (header.payer != nullptr) header.payer->discharge(bytes);
}

const MemoryInfo* Memory::describe(const Allocator* door) noexcept {
  return static_cast<const Door*>(door)->memory->info_.get();
}

}  // namespace inferkit::ort
