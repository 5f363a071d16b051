// An object that is there before anything runs and is never destroyed.
#pragma once

namespace inferkit {

// For namespaces, as `constinit Forever<T>`. No thread makes it, as one makes a function's static:
// a fork meanwhile would leave the child waiting for that thread. Not on the heap.
template <class T>
union Forever {
  constexpr Forever() : value() {}
  ~Forever() {}  // not even at the end of the process: others may still use it
  T value;
};

}  // namespace inferkit
