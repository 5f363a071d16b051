// Models and options that cannot be served: each a typed error that names what is wrong.
#include <doctest/doctest.h>

#include <string>

#include "backend/ort_backend.h"
#include "base/error.h"
#include "support/onnx_bytes.h"
#include "support/ort_for_tests.h"

namespace inferkit {
namespace {

// The message of the model_load error that loading must end in.
std::string refusal(const OrtModel& model, const OrtOptions& options = {}) {
  try {
    (void)make_ort_backend(*library_for_tests(), model, options);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::model_load);
    return error.message();
  }
  FAIL("the model was accepted");
  return {};
}

bool says(const std::string& message, const std::string& part) {
  INFO(message);
  const bool found = message.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

TEST_CASE("files and bytes that are no model") {
  if (library_for_tests() == nullptr) return;
  says(refusal({"/nowhere/model.onnx", {}}), "/nowhere/model.onnx");
  says(refusal(as_model("not a model")), "load a model of 11 bytes");
  says(refusal(as_model("")), "0 bytes");
  const std::string whole = onnx::mlp({8, 8, 1});
  says(refusal(as_model(whole.substr(0, whole.size() / 2))), "onnxruntime failed to load");
}

TEST_CASE("tensors that inferkit cannot show") {
  if (library_for_tests() == nullptr) return;
  const std::string strings = onnx::identity({"n"}, onnx::kString);
  says(refusal(as_model(strings)), "input 'x' has element type string");
  const std::string bfloats = onnx::identity({"n"}, onnx::kBfloat16);
  says(refusal(as_model(bfloats)), "input 'x' has element type bfloat16");
  const std::string deep = onnx::identity({"n", 1, 1, 1, 1, 1, 1, 1, 1});
  says(refusal(as_model(deep)), "input 'x' has 9 dimensions");
  const std::string sequence = onnx::Graph()
                                   .input("x", onnx::kFloat, {"n"})
                                   .sequence_output("parts", onnx::kFloat)
                                   .node("SequenceConstruct", {"x"}, {"parts"})
                                   .model();
  says(refusal(as_model(sequence)), "output 'parts' is of type sequence");
}

TEST_CASE("providers and options that are not there") {
  if (library_for_tests() == nullptr) return;
  const std::string bytes = onnx::affine(2);
  OrtOptions options;
  options.providers = {"WarpDriveExecutionProvider"};
  const std::string message = refusal(as_model(bytes), options);
  says(message, "'WarpDriveExecutionProvider'");
  says(message, "CPUExecutionProvider");
  options.providers = {"CPUExecutionProvider"};
  options.provider_options["CUDAExecutionProvider"]["device_id"] = "0";
  says(refusal(as_model(bytes), options), "'CUDAExecutionProvider', which is not in providers");
  options.provider_options.clear();
  options.provider_options["CPUExecutionProvider"]["speed"] = "9";
  says(refusal(as_model(bytes), options), "takes no options, got 'speed'");
  options.provider_options.clear();
  options.session_config["session.use_ort_model_bytes_directly"] = "1";
  says(refusal(as_model(bytes), options), "session.use_ort_model_bytes_directly");
}

TEST_CASE("what is there is taken") {
  if (library_for_tests() == nullptr) return;
  const std::string bytes = onnx::affine(2);
  OrtOptions options;
  options.providers = {"CPUExecutionProvider"};
  options.session_config["session.intra_op.allow_spinning"] = "0";
  const auto backend = make_ort_backend(*library_for_tests(), as_model(bytes), options);
  says(backend->notes()[0], library_for_tests()->version());
  says(backend->notes()[1], "CPUExecutionProvider");
}

}  // namespace
}  // namespace inferkit
