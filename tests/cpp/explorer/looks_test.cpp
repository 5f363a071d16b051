// Every look at shared memory is needed: blind alone, some program fails. So who announces himself
// and looks again has to look again. Those for which none does are listed with the reason.
#include <cctype>
#include <cstdlib>

#include "explorer/mutants.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

// Whether what a read-modify-write found goes anywhere: not where a statement begins with it.
bool is_used(const Site& site) {
  const std::string line = source_line(site);
  const auto is_of_name = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_.[]->").find(c) != std::string_view::npos;
  };
  std::size_t at = site.column - 1;  // of the parenthesis
  while (at > 0 && is_of_name(line[at - 1])) --at;
  while (at > 0 && line[at - 1] == ' ') --at;
  return at > 0 && std::string_view("{;)").find(line[at - 1]) == std::string_view::npos;
}

void blind_each(Hunt& hunt) {
  for (const auto& [site, place] : hunt.sites()) {
    if (place.operation == Operation::store) continue;
    if (place.operation == Operation::modify && !is_used(site)) continue;
    static_cast<void>(hunt.is_noticed({site, Mutation::Kind::blind}));
  }
  hunt.finish();
}

constexpr auto kUnused = std::memory_order_relaxed;  // Unnoticed::order says nothing here

constexpr std::string_view kFirstGuess = "a first guess: the exchange after it looks";
constexpr std::string_view kNotAsked = "nobody asks what the exchange found when it failed";

constexpr Unnoticed kQueue[] = {
    {"inbox.h", "T* head = head_.load(", false, kUnused, kFirstGuess},
    {"free_list.h", "std::uint64_t head = head_.load(", false, kUnused, kFirstGuess},
    {"credits.h", "std::uint64_t word = word_.load(", false, kUnused, kFirstGuess},
    {"bell.h", "before = word_.fetch_or(kPending,", false, kUnused,
     "spares the exchange, which takes the token from PENDING alone and so fails"},
    {"bell.h", "word_.compare_exchange_strong(expected,", true, kUnused, kNotAsked},
};
constexpr Unnoticed kEngine[] = {
    {"request_slab.h", "return segments_[index / segment_size_].load(", false, kUnused,
     "no program needs a second segment: it grows in a lock"},
    {"scheduler_hold.h", "tombstones = tombstones_.load(", false, kUnused,
     "it decides when a sweep pays; who is met or closed is buried all the same"},
    {"scheduler_time.h", "if ((free_.load(", false, kUnused,
     "finds the lease free as at first, and tells nobody to stop: a run may take its time"},
    {"runner_bay.h", "if (words_[i].state.compare_exchange_strong(expected, kCalled,", false,
     kUnused, "any word but `busy` makes a runner look again before it sleeps"},
    {"runner_bay.h", "if (words_[i].state.compare_exchange_strong(expected, kCalled,", true,
     kUnused, kNotAsked},
    {"runner_bay.h", "words_[me].state.compare_exchange_strong(", true, kUnused, kNotAsked},
    {"runner_bay.h", "if (words_[i].state.load(", false, kUnused,
     "one runner more is called than need be"},
    {"runner_bay.h", "          words_[i].state.compare_exchange_strong(expected, kCalled,", true,
     kUnused, kNotAsked},
    {"keeper.h", "word_.compare_exchange_strong(expected, kParked", true, kUnused, kNotAsked},
    {"blocking_caller.h", "request->wait.compare_exchange_strong(word, kParked", true, kUnused,
     "who did not go to sleep looks at the state, whatever he was told"},
    {"blocking_caller.h", "static_cast<void>(request->wait.compare_exchange_strong(", false,
     kUnused,
     "nobody but the caller ends a request whose batch he holds: there is no `done` to keep"},
    {"blocking_caller.h", "static_cast<void>(request->wait.compare_exchange_strong(", true, kUnused,
     kNotAsked},
    {"scheduler_hold.h", "request->wait.compare_exchange_strong(parked,", true, kUnused, kNotAsked},
};

TEST_CASE("looks: queue" * doctest::skip(kSanitized)) {
  Hunt hunt(queue_programs(), {"queue", "memory"}, kQueue);
  blind_each(hunt);
}

TEST_CASE("looks: engine" * doctest::skip(kSanitized)) {
  if (!at_length("looks: engine")) return;
  Hunt hunt(service_programs(), {"batch", "engine"}, kEngine);
  blind_each(hunt);
}

}  // namespace
