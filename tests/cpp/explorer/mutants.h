// Changes to the source, one at a time: for each some program fails, or it stands in a list with
// the reason. A list that names what is noticed after all, or what is not there, is wrong too.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iostream>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "explorer/programs.h"

namespace inferkit::testing {

using explorer::Mutation;
using explorer::Operation;
using explorer::Place;
using explorer::Site;
using explorer::Sites;

// A change that no program notices.
struct Unnoticed {
  std::string_view file;
  std::string_view line;  // a part of it
  bool on_failure;
  std::memory_order order;  // where it is weakened: to which
  std::string_view reason;
};

inline std::string source_line(const Site& site) {
  std::ifstream in(site.file);
  std::string line;
  for (std::uint32_t i = 0; i < site.line; ++i) std::getline(in, line);
  return line;
}
inline std::string file_name(const Site& site) {
  return std::filesystem::path(site.file).filename().string();
}

inline std::string_view name_of(std::memory_order order) {
  switch (order) {
    case std::memory_order_relaxed:
      return "relaxed";
    case std::memory_order_consume:
      return "consume";
    case std::memory_order_acquire:
      return "acquire";
    case std::memory_order_release:
      return "release";
    case std::memory_order_acq_rel:
      return "acq_rel";
    case std::memory_order_seq_cst:
      return "seq_cst";
  }
  return "?";
}
inline std::string name_of(const Mutation& mutation) {
  const Site& site = mutation.site;
  std::string name = text(file_name(site), ":", site.line, ":", site.column);
  if (site.on_failure) name += " on failure";
  const bool blind = mutation.kind == Mutation::Kind::blind;
  return text(name, blind ? ", blind" : " to ", blind ? "" : name_of(mutation.order));
}

// What takes minutes waits for INFERKIT_EXPLORE.
inline bool at_length(std::string_view what) {
  if (std::getenv("INFERKIT_EXPLORE") != nullptr) return true;
  std::cout << what << ": skipped, takes minutes: INFERKIT_EXPLORE is not set\n";
  return false;
}

inline std::vector<NamedProgram> service_programs() {
  std::vector<NamedProgram> programs = engine_programs();
  for (NamedProgram& each : lending_programs()) programs.push_back(std::move(each));
  return programs;
}

// The hunt for what no program of `programs` notices, in files of `rooms`.
class Hunt {
 public:
  Hunt(std::vector<NamedProgram> programs, std::initializer_list<std::string_view> rooms,
       std::span<const Unnoticed> listed)
      : programs_(std::move(programs)), listed_(listed), needed_(listed.size(), false) {
    for (const NamedProgram& each : programs_) {
      explorer::Outcome sound = explore_all(each, kSeed, 1'000);
      REQUIRE_MESSAGE(sound.failure.empty(), each.name, ": ", sound.failure);
      for (const auto& [site, place] : sound.seen.sites) {
        const std::string_view file = site.file;
        const bool ours = std::any_of(rooms.begin(), rooms.end(), [&](std::string_view room) {
          return file.find(text("/csrc/", room, "/")) != std::string_view::npos;
        });
        if (ours) sites_.emplace(site, place);
      }
    }
    REQUIRE_FALSE(sites_.empty());
  }

  [[nodiscard]] const Sites& sites() const { return sites_; }

  // Whether a program notices; if none does, it must be listed.
  bool is_noticed(const Mutation& mutation) {
    const Unnoticed* listed = find(mutation);
    const std::string_view by = who_notices(mutation, listed != nullptr);
    std::cout << "  " << name_of(mutation) << ": "
              << (!by.empty()         ? std::string(by)
                  : listed == nullptr ? "NOT NOTICED"
                                      : text("not noticed: ", listed->reason))
              << std::endl;  // each may take long, and the next one forks
    CHECK_MESSAGE((!by.empty() || listed != nullptr), name_of(mutation), ": not noticed");
    CHECK_MESSAGE((by.empty() || listed == nullptr), name_of(mutation), ": listed, yet noticed");
    ++(by.empty() ? unnoticed_ : noticed_);
    return !by.empty();
  }

  void finish() const {
    for (std::size_t i = 0; i < listed_.size(); ++i) {
      CHECK_MESSAGE(needed_[i], listed_[i].file, ": listed, but not there: ", listed_[i].line);
    }
    std::cout << "  " << noticed_ << " changes noticed, " << unnoticed_ << " listed\n";
  }

 private:
  static constexpr std::uint64_t kSeed = 1;

  // Most mistakes show soon in some program; then each gets its time, and for what is listed a
  // fifth of it. The index of the program; as many as there are: none.
  [[nodiscard]] std::size_t search(const Mutation& mutation, bool listed) const {
    const std::uint64_t at_last = listed ? 5 : 1;
    for (const std::uint64_t share : {std::uint64_t{20}, at_last}) {
      for (std::size_t i = 0; i < programs_.size(); ++i) {
        const std::uint64_t runs = programs_[i].most_runs / share;
        if (!explore_all(programs_[i], kSeed, runs, mutation).failure.empty()) return i;
      }
    }
    return programs_.size();
  }

  // Empty: nobody. In a process of its own: who does not look may well destroy it.
  [[nodiscard]] std::string_view who_notices(const Mutation& mutation, bool listed) const {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) {
        static_cast<void>(std::signal(signal, SIG_DFL));  // not doctest's to tell of
      }
      ::_exit(static_cast<int>(search(mutation, listed)));
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) return "a crash";
    const auto found = static_cast<std::size_t>(WEXITSTATUS(status));
    return found == programs_.size() ? std::string_view() : programs_[found].name;
  }

  [[nodiscard]] const Unnoticed* find(const Mutation& mutation) {
    const std::string file = file_name(mutation.site);
    const std::string line = source_line(mutation.site);
    for (std::size_t i = 0; i < listed_.size(); ++i) {
      const Unnoticed& each = listed_[i];
      if (each.file == file && each.on_failure == mutation.site.on_failure &&
          each.order == mutation.order && line.find(each.line) != std::string::npos) {
        needed_[i] = true;
        return &each;
      }
    }
    return nullptr;
  }

  const std::vector<NamedProgram> programs_;
  const std::span<const Unnoticed> listed_;
  std::vector<bool> needed_;
  Sites sites_;
  std::uint32_t noticed_ = 0;
  std::uint32_t unnoticed_ = 0;
};

}  // namespace inferkit::testing
