// Inbox, bell, free list, credits: alone, each with as few threads as show a mistake.
#include <array>

#include "explorer/programs.h"
#include "memory/free_list.h"
#include "queue/bell.h"
#include "queue/credits.h"
#include "queue/inbox.h"

namespace inferkit::testing {
namespace {

using explorer::ExploredAtom;
using explorer::Plain;
using explorer::require;
template <class T>
using Atomic = explorer::Atomic<T>;

struct Node {
  Plain<Node*> next{nullptr};
  Plain<int> value{0};
};

// --- two push, one drains --------------------------------------------------------------------

struct Mail {
  Inbox<ExploredAtom, Node> inbox;
  std::array<Node, 4> nodes;
  std::array<int, 2> last{-1, -1};  // of each pusher's, as drained
  int drained = 0;

  void push(int node) {
    nodes[static_cast<std::size_t>(node)].value = node;
    static_cast<void>(inbox.push(&nodes[static_cast<std::size_t>(node)]));
  }
  void take_all() {
    for (Node* node = inbox.drain(); node != nullptr; node = node->next) {
      const int value = node->value;
      int& before = last[static_cast<std::size_t>(value / 2)];
      require(before < value, "a node came twice, or before an older one");
      before = value;
      ++drained;
    }
  }
};

explorer::MakeProgram mail() {
  return program<Mail>({[](Mail& m) {
                          m.push(0);
                          m.push(1);
                        },
                        [](Mail& m) {
                          m.push(2);
                          m.push(3);
                        },
                        [](Mail& m) {
                          m.take_all();
                          m.take_all();
                        }},
                       [](Mail& m) {
                         m.take_all();
                         require(m.drained == 4, "a node was lost");
                       });
}

// --- the token ---------------------------------------------------------------------------------

struct Token {
  Bell<ExploredAtom> bell;
  Inbox<ExploredAtom, Node> inbox;
  std::array<Node, 3> nodes;
  Plain<int> done{0};  // the holder's

  void bring(std::size_t node) {
    nodes[node].value = 1;
    static_cast<void>(inbox.push(&nodes[node]));
    if (!bell.ring()) return;
    for (;;) {
      for (Node* each = inbox.drain(); each != nullptr; each = each->next) {
        done = done + each->value;
      }
      if (bell.release()) return;
      bell.clear_pending();
    }
  }
};

explorer::MakeProgram token() {
  return program<Token>(
      {[](Token& t) { t.bring(0); }, [](Token& t) { t.bring(1); }, [](Token& t) { t.bring(2); }},
      [](Token& t) { require(t.done == 3, "work was left behind"); });
}

// --- the free list -----------------------------------------------------------------------------

struct Pool {
  struct Cell {
    Atomic<std::uint32_t> next{0};
    Plain<int> owner{0};
  };
  std::array<Cell, 3> cells;
  FreeList<ExploredAtom> free;

  Atomic<std::uint32_t>& next(std::uint32_t number) { return cells[number].next; }
  Pool() {
    for (std::uint32_t number = 0; number < cells.size(); ++number) free.push(*this, number);
  }
  std::uint32_t take() {
    const std::uint32_t number = free.pop(*this);
    if (number != FreeList<ExploredAtom>::kNone) {
      cells[number].owner = cells[number].owner + 1;  // a race where two have it
    }
    return number;
  }
  void give(std::uint32_t number) {
    if (number == FreeList<ExploredAtom>::kNone) return;
    cells[number].owner = cells[number].owner - 1;
    free.push(*this, number);
  }
};

explorer::MakeProgram pool() {
  return program<Pool>({[](Pool& p) { p.give(p.take()); },
                        [](Pool& p) {
                          const std::uint32_t first = p.take();
                          const std::uint32_t second = p.take();
                          p.give(first);
                          p.give(second);
                        },
                        [](Pool& p) { p.give(p.take()); }},
                       [](Pool& p) {
                         std::array<bool, 3> seen{};
                         for (int i = 0; i < 3; ++i) {
                           const std::uint32_t number = p.take();
                           require(number < 3 && !seen[number], "a node is lost or there twice");
                           seen[number] = true;
                         }
                         require(p.take() == FreeList<ExploredAtom>::kNone, "a node too many");
                       });
}

// --- credits -----------------------------------------------------------------------------------

struct Room {
  Credits<ExploredAtom> credits{1, 64};
  Plain<int> inside{0};  // room for one

  void visit() {
    for (;;) {
      const std::uint32_t epoch = credits.epoch();
      const auto take = credits.take_or_announce(1);
      if (take == Credits<ExploredAtom>::Take::closed) return;
      if (take == Credits<ExploredAtom>::Take::taken) break;
      credits.wait(epoch, kNever);
    }
    inside = inside + 1;
    require(inside == 1, "two took the room of one");
    inside = 0;
    if (credits.give(1)) credits.wake_waiters();
  }
  void shut() {
    credits.close();
    credits.wake_waiters();
    // Until everything was given back, as close() does.
    for (;;) {
      const std::uint32_t epoch = credits.epoch();
      if (!credits.announce_unless_idle()) break;
      credits.wait(epoch, kNever);
    }
    require(inside == 0, "somebody is inside of a closed room");
  }
};

explorer::MakeProgram room() {
  return program<Room>(
      {[](Room& r) { r.visit(); }, [](Room& r) { r.visit(); }, [](Room& r) { r.visit(); }},
      [](Room& r) { require(r.credits.requests() == 0, "credits are lost"); });
}
explorer::MakeProgram closing_room() {
  return program<Room>(
      {[](Room& r) { r.visit(); }, [](Room& r) { r.visit(); }, [](Room& r) { r.shut(); }},
      [](Room& r) { require(r.credits.requests() == 0, "credits are lost"); });
}

// --- waiters, and room that a tombstone holds
// ------------------------------------------------------

// As Scheduler::note_tombstone() and take_credits() do it: either the one who leaves the tombstone
// sees that somebody waits, or whoever waits sees the tombstone.
struct Grave {
  Credits<ExploredAtom> credits{1, 64};
  Atomic<std::int32_t> tombstones{0};

  Grave() { static_cast<void>(credits.take(1)); }
  void bury() {
    if (tombstones.exchange(0, std::memory_order_acq_rel) == 0) return;
    if (credits.give(1)) credits.wake_waiters();
  }
  void leave() {
    tombstones.fetch_add(1, std::memory_order_seq_cst);
    if (credits.has_waiters()) bury();
  }
  void visit() {
    for (;;) {
      const std::uint32_t epoch = credits.epoch();
      if (credits.take_or_announce(1) == Credits<ExploredAtom>::Take::taken) break;
      if (tombstones.load(std::memory_order_seq_cst) != 0) {
        bury();
      } else {
        credits.wait(epoch, kNever);
      }
    }
    if (credits.give(1)) credits.wake_waiters();
  }
};

explorer::MakeProgram grave() {
  return program<Grave>(
      {[](Grave& g) { g.visit(); }, [](Grave& g) { g.visit(); }, [](Grave& g) { g.leave(); }},
      [](Grave& g) { require(g.credits.requests() == 0, "credits are lost"); });
}

}  // namespace

std::vector<NamedProgram> queue_programs() {
  return {
      {"inbox: two push, one drains", mail(), {.preemptions = 3, .stale = 1, .spurious = 1}},
      {"bell: three bring work", token(), {.preemptions = 3, .stale = 1, .spurious = 1}},
      {"free list: three take and give", pool(), {.preemptions = 2, .stale = 1, .spurious = 1}},
      {"credits: three through one door", room(), {.preemptions = 2, .stale = 1, .spurious = 1}},
      {"credits: waiters and a tombstone", grave(), {.preemptions = 2, .stale = 2, .spurious = 1}},
      {"credits: the door closes", closing_room(), {.preemptions = 2, .stale = 1, .spurious = 1}},
  };
}

}  // namespace inferkit::testing
