// The part of onnxruntime's C++ API that the example of docs/edge.md uses, with a network that mixes the channels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

enum OrtAllocatorType { OrtArenaAllocator = 1 };
enum OrtMemType { OrtMemTypeDefault = 0 };
struct OrtMemoryInfo {};

namespace Ort {

struct Env {};

struct SessionOptions {};

struct RunOptions {
  explicit RunOptions(std::nullptr_t) {}
};

struct MemoryInfo {
  static MemoryInfo CreateCpu(OrtAllocatorType, OrtMemType) { return {}; }
  operator const OrtMemoryInfo*() const { return &info; }
  OrtMemoryInfo info;
};

struct Value {
  Value() = default;
  Value(Value&&) = default;
  Value(const Value&) = delete;

  template <typename T>
  static Value CreateTensor(const OrtMemoryInfo*, T* data, size_t count, const int64_t* shape, size_t rank) {
    Value value;
    value.data.assign(data, data + count);
    value.shape.assign(shape, shape + rank);
    return value;
  }

  template <typename T>
  const T* GetTensorData() const {
    return data.data();
  }

  std::vector<uint8_t> data;
  std::vector<int64_t> shape;
};

struct Session {
  Session(const Env&, const char*, const SessionOptions&) {}

  std::vector<Value> Run(const RunOptions&, const char* const*, const Value* inputs, size_t, const char* const*, size_t) {
    Value classes;
    for (size_t at = 0; at < inputs->data.size(); at += 3) {
      const uint8_t* pixel = &inputs->data[at];
      classes.data.push_back((pixel[0] + 3 * pixel[1] + 7 * pixel[2]) % 19);
    }
    std::vector<Value> answer;
    answer.push_back(std::move(classes));
    return answer;
  }
};

}  // namespace Ort
