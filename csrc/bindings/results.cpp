#include "bindings/results.h"

#include <array>
#include <cstring>

#include "bindings/gil.h"
#include "bindings/numpy_api.h"
#include "bindings/result_object.h"

namespace inferkit {
namespace {

// A copy of fewer bytes costs less than a capsule, and does not keep the whole batch in memory.
constexpr std::size_t kViewBytes = 16 << 10;
constexpr const char* kCapsuleName = "inferkit.batch_memory";

// The part of an output that belongs to one request.
struct Share {
  std::array<npy_intp, kMaxRank> dims{};
  int rank = 0;
  std::size_t bytes = 0;
  std::byte* data = nullptr;
};

Share share_of(const EngineRequest& request, const Signature& signature, std::size_t index) {
  // A request of no rows may have been answered without a run; open dimensions are then empty too.
  const bool ran = static_cast<bool>(request.result);
  const Shape shape =
      ran ? request.result->outputs()[index].view.shape : signature.outputs[index].shape;
  Share share;
  share.rank = static_cast<int>(shape.rank());
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    share.dims[axis] = shape[axis] < 0 ? 0 : shape[axis];
  }
  if (signature.batched) share.dims[0] = request.rows;
  share.bytes = item_size(signature.outputs[index].dtype);
  std::size_t row_bytes = share.bytes;
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    share.bytes *= static_cast<std::size_t>(share.dims[axis]);
    if (axis != 0) row_bytes *= static_cast<std::size_t>(share.dims[axis]);
  }
  if (!ran) return share;
  share.data = request.result->outputs()[index].view.data;
  if (signature.batched) share.data += request.first_row * row_bytes;
  return share;
}

PyObject* copy_of(const Share& share, int typenum) {
  PyObject* array = PyArray_SimpleNew(share.rank, share.dims.data(), typenum);
  if (array == nullptr || share.bytes == 0) return array;
  void* to = PyArray_DATA(array_of(array));
  if (share.bytes < kReleaseGilBytes) {
    std::memcpy(to, share.data, share.bytes);
  } else {
    const ReleaseGil released;  // nobody else knows the array yet
    std::memcpy(to, share.data, share.bytes);
  }
  return array;
}

void drop_batch(PyObject* capsule) {
  auto* result = static_cast<BatchResult*>(PyCapsule_GetPointer(capsule, kCapsuleName));
  const ResultRef dropped = ResultRef::adopt(result);
}

// The base is a capsule, not an array over the batch: .base leads to nobody else's rows.
PyObject* view_of(const Share& share, int typenum, const ResultRef& owner) {
  ResultRef held = owner;
  Ref capsule = Ref::steal(PyCapsule_New(&*held, kCapsuleName, drop_batch));
  if (!capsule) return nullptr;
  (void)held.detach();  // the capsule's now
  Ref array = Ref::steal(PyArray_New(&PyArray_Type, share.rank, share.dims.data(), typenum, nullptr,
                                     share.data, 0, NPY_ARRAY_CARRAY, nullptr));
  if (!array || PyArray_SetBaseObject(array_of(array.get()), capsule.release()) < 0) return nullptr;
  return array.release();
}

}  // namespace

PyObject* make_result(SessionObject* session, EngineRequest* request,
                      const OutputSelection& selection) {
  Ref result = Ref::steal(new_result(*request));
  if (!result) return nullptr;
  const Signature& signature = session->engine->signature();
  const auto& outputs = session->facts->outputs;
  const bool pinned = session->engine->pool_is_pinned();
  const std::size_t count = selection.empty() ? outputs.size() : selection.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t index = selection.empty() ? i : selection[i];
    const Share share = share_of(*request, signature, index);
    const bool copy = pinned || share.bytes < kViewBytes;
    const Ref array = Ref::steal(copy ? copy_of(share, outputs[index].typenum)
                                      : view_of(share, outputs[index].typenum, request->result));
    if (!array) return nullptr;
    if (PyDict_SetItem(result.get(), outputs[index].name.get(), array.get()) < 0) return nullptr;
  }
  return result.release();
}

}  // namespace inferkit
