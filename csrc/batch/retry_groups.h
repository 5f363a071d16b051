// What a batch that failed leaves to be run again.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "batch/request.h"

namespace inferkit {

// Requests in groups, each to be run as it is: one list, and where the groups end in it, so that
// within reserve() nothing is asked of the heap by whoever divides a batch.
// Threads: one at a time. Owns: nothing. Throws: reserve(), and whoever goes beyond it.
template <class Atom>
class RetryGroups {
 public:
  void reserve(std::size_t requests) {
    requests_.reserve(requests);
    ends_.reserve(requests);
  }

  void add(Request<Atom>* request) { requests_.push_back(request); }
  // What was added since the last call is one group, if it is anything.
  void end_group() {
    if (requests_.size() != (ends_.empty() ? 0 : ends_.back())) ends_.push_back(requests_.size());
  }

  [[nodiscard]] bool empty() const noexcept { return ends_.empty(); }
  template <class Visit>
  void each(Visit&& visit) const {
    std::size_t begin = 0;
    for (const std::size_t end : ends_) {
      visit(std::span(requests_).subspan(begin, end - begin));
      begin = end;
    }
  }

  void clear() noexcept {
    requests_.clear();
    ends_.clear();
  }

 private:
  std::vector<Request<Atom>*> requests_;
  std::vector<std::size_t> ends_;
};

}  // namespace inferkit
