// Tiny ONNX models as bytes, so that the C++ tests need no ONNX package.
//
// A protobuf message is a row of fields: a tag (number << 3 | kind), then a varint (kind 0) or a
// length and bytes (kind 2). The numbers below are those of onnx.proto.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace inferkit::onnx {

class Message {
 public:
  Message& number(int field, std::int64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  Message& bytes(int field, std::string_view value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    text_.append(value);
    return *this;
  }
  Message& message(int field, const Message& value) { return bytes(field, value.text_); }
  [[nodiscard]] const std::string& str() const { return text_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) text_.push_back(static_cast<char>(value | 0x80));
    text_.push_back(static_cast<char>(value));
  }
  std::string text_;
};

inline constexpr int kFloat = 1;
inline constexpr int kInt64 = 7;
inline constexpr int kString = 8;
inline constexpr int kBfloat16 = 16;

// A dimension: its size, or its name where it is open.
struct Dim {
  Dim(int size) : size(size) {}
  Dim(const char* name) : name(name) {}
  std::int64_t size = -1;
  std::string name;
};

// Builds a graph step by step; model() gives the bytes.
class Graph {
 public:
  Graph& input(const std::string& name, int type, const std::vector<Dim>& dims) {
    graph_.message(11, value_info(name, tensor_type(type, dims)));
    return *this;
  }
  Graph& output(const std::string& name, int type, const std::vector<Dim>& dims) {
    graph_.message(12, value_info(name, tensor_type(type, dims)));
    return *this;
  }
  // An output of which the model does not even tell the rank.
  Graph& shapeless_output(const std::string& name, int type) {
    graph_.message(12, value_info(name, Message().message(1, Message().number(1, type))));
    return *this;
  }
  Graph& sequence_output(const std::string& name, int type) {
    const Message sequence = Message().message(1, tensor_type(type, {"n"}));
    graph_.message(12, value_info(name, Message().message(4, sequence)));
    return *this;
  }
  // attributes: name and integer, the only kind these models need.
  Graph& node(const std::string& op, const std::vector<std::string>& inputs,
              const std::vector<std::string>& outputs,
              const std::vector<std::pair<std::string, std::int64_t>>& attributes = {}) {
    Message node;
    for (const std::string& name : inputs) node.bytes(1, name);
    for (const std::string& name : outputs) node.bytes(2, name);
    node.bytes(4, op);
    for (const auto& [name, value] : attributes) {
      node.message(5, Message().bytes(1, name).number(3, value).number(20, 2));
    }
    graph_.message(1, node);
    return *this;
  }
  Graph& weights(const std::string& name, const std::vector<std::int64_t>& dims,
                 std::span<const float> values) {
    Message tensor;
    for (const std::int64_t dim : dims) tensor.number(1, dim);
    tensor.number(2, kFloat).bytes(8, name);
    tensor.bytes(9, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
    graph_.message(5, tensor);
    return *this;
  }
  [[nodiscard]] std::string model() const {
    Message named = graph_;
    named.bytes(2, "test");
    const Message opset = Message().bytes(1, "").number(2, 17);
    return Message().number(1, 8).message(7, named).message(8, opset).str();
  }

 private:
  static Message tensor_type(int type, const std::vector<Dim>& dims) {
    Message shape;
    for (const Dim& dim : dims) {
      Message one;
      if (dim.name.empty()) {
        one.number(1, dim.size);
      } else {
        one.bytes(2, dim.name);
      }
      shape.message(1, one);
    }
    return Message().message(1, Message().number(1, type).message(2, shape));
  }
  static Message value_info(const std::string& name, const Message& type) {
    return Message().bytes(1, name).message(2, type);
  }
  Message graph_;
};

// Numbers that look random and are the same everywhere: a linear congruence mapped to [-1, 1).
inline std::vector<float> weights_of(std::size_t count, std::uint32_t seed) {
  std::vector<float> values(count);
  for (float& value : values) {
    seed = seed * 1664525U + 1013904223U;
    value = static_cast<float>(seed >> 8) / 8388608.0F - 1.0F;
  }
  return values;
}

// y = x
inline std::string identity(const std::vector<Dim>& dims, int type = kFloat) {
  return Graph()
      .input("x", type, dims)
      .output("y", type, dims)
      .node("Identity", {"x"}, {"y"})
      .model();
}

// y = 2 x + 1, x and y float32 [n, width]
inline std::string affine(int width) {
  const float two = 2.0F;
  const float one = 1.0F;
  return Graph()
      .input("x", kFloat, {"n", width})
      .output("y", kFloat, {"n", width})
      .weights("two", {}, {&two, 1})
      .weights("one", {}, {&one, 1})
      .node("Mul", {"x", "two"}, {"doubled"})
      .node("Add", {"doubled", "one"}, {"y"})
      .model();
}

// Fully connected layers with relu between them: mlp({32, 64, 1}) takes x [n, 32], gives y [n, 1].
inline std::string mlp(const std::vector<int>& widths) {
  Graph graph;
  std::string from = "x";
  graph.input("x", kFloat, {"n", widths.front()}).output("y", kFloat, {"n", widths.back()});
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    const bool last = i + 2 == widths.size();
    const std::string id = std::to_string(i);
    const auto rows = static_cast<std::size_t>(widths[i]);
    const auto columns = static_cast<std::size_t>(widths[i + 1]);
    graph.weights("w" + id, {widths[i], widths[i + 1]},
                  weights_of(rows * columns, static_cast<std::uint32_t>(i + 1)));
    graph.node("MatMul", {from, "w" + id}, {last ? "y" : "h" + id});
    if (!last) graph.node("Relu", {"h" + id}, {"r" + id});
    from = "r" + id;
  }
  return graph.model();
}

// y = table[x], x int64 [n]; an index out of range fails the run. Table: rows 0, 1, 2, 3.
inline std::string gather() {
  const std::vector<float> table = {0, 1, 2, 3};
  return Graph()
      .input("x", kInt64, {"n"})
      .output("y", kFloat, {"n", 1})
      .weights("table", {4, 1}, table)
      .node("Gather", {"table", "x"}, {"y"})
      .model();
}

}  // namespace inferkit::onnx
