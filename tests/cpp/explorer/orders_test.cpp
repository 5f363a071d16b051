// Every named memory order is needed: relaxed alone, some program fails. Those for which none can
// are listed with the reason.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include "explorer/programs.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using explorer::Site;
using explorer::Sites;

struct Unobservable {
  std::string_view file;
  std::string_view line;  // a part of it
  bool on_failure;
  std::string_view reason;
};
constexpr std::string_view kReadsInOrder =
    "the explorer makes a thread's reads in program order; a machine may make the next one first";
constexpr std::array kUnobservable = {
    Unobservable{"credits.h", "std::uint64_t word = word_.load(std::memory_order_acquire)", false,
                 kReadsInOrder},
    Unobservable{"credits.h", "word_.compare_exchange_weak(word, next", true, kReadsInOrder},
};

std::string source_line(const Site& site) {
  std::ifstream in(site.file);
  std::string line;
  for (std::uint32_t i = 0; i < site.line; ++i) std::getline(in, line);
  return line;
}

std::string name_of(const Site& site) {
  return std::filesystem::path(site.file).filename().string() + ":" + std::to_string(site.line) +
         ":" + std::to_string(site.column) + (site.on_failure ? " on failure" : "");
}

bool is_listed(const Site& site) {
  const std::string file = std::filesystem::path(site.file).filename().string();
  const std::string line = source_line(site);
  return std::any_of(kUnobservable.begin(), kUnobservable.end(), [&](const Unobservable& each) {
    return each.file == file && each.on_failure == site.on_failure &&
           line.find(each.line) != std::string::npos;
  });
}

// The program that fails when the order at `site` is relaxed; null: none.
const NamedProgram* who_catches(const Site& site, const std::vector<NamedProgram>& programs) {
  for (const NamedProgram& each : programs) {
    if (!explore_all(each, 1, 1, site).failure.empty()) return &each;
  }
  return nullptr;
}

void each_is_needed(const std::vector<NamedProgram>& programs) {
  Sites sites;
  for (const NamedProgram& each : programs) sites.merge(explore_all(each, 1, 1).sites);
  for (const auto& [site, order] : sites) {
    const bool ours = site.file.find("/csrc/") != std::string::npos;
    if (!ours || is_listed(site)) continue;
    const NamedProgram* caught = who_catches(site, programs);
    std::cout << "  " << name_of(site) << ": " << (caught == nullptr ? "NOT CAUGHT" : caught->name)
              << "\n";
    CHECK_MESSAGE(caught != nullptr, name_of(site));
  }
}

TEST_CASE("orders: queue" * doctest::skip(kSanitized)) { each_is_needed(queue_programs()); }

TEST_CASE("orders: engine" *
          doctest::skip(kSanitized || std::getenv("INFERKIT_EXPLORE") == nullptr)) {
  each_is_needed(engine_programs());
}

}  // namespace
