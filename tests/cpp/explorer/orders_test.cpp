// Every named memory order is needed: weakened alone, some program fails. Those for which none can
// are listed with the reason.
#include <doctest/doctest.h>

#include <filesystem>
#include <iostream>
#include <string>

#include "explorer/programs.h"

using namespace inferkit;
using namespace inferkit::testing;

namespace {

using explorer::Site;
using explorer::Sites;

std::string name_of(const Site& site) {
  return std::filesystem::path(site.file).filename().string() + ":" + std::to_string(site.line) +
         (site.on_failure ? " (failure)" : "");
}

// The program that fails when the order at `site` is relaxed; null: none.
const NamedProgram* who_catches(const Site& site, const std::vector<NamedProgram>& programs) {
  for (const NamedProgram& each : programs) {
    if (!explore_all(each, 1, 1, site).failure.empty()) return &each;
  }
  return nullptr;
}

TEST_CASE("orders: all") {
  std::vector<NamedProgram> programs = queue_programs();
  for (NamedProgram& each : engine_programs()) programs.push_back(std::move(each));
  Sites sites;
  for (const NamedProgram& each : programs) sites.merge(explore_all(each, 1, 1).sites);
  for (const auto& [site, order] : sites) {
    const NamedProgram* caught = who_catches(site, programs);
    std::cout << "  " << name_of(site) << " col " << site.column << " order "
              << static_cast<int>(order) << ": "
              << (caught == nullptr ? "NOT CAUGHT" : caught->name) << "\n";
    CHECK_MESSAGE(caught != nullptr, name_of(site));
  }
}

}  // namespace
