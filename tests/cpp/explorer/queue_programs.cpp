// Inbox, bell, free list, credits: alone, each with as few threads as show a mistake.
#include <array>

#include "explorer/programs.h"
#include "memory/free_list.h"
#include "memory/lent.h"
#include "queue/bell.h"
#include "queue/credits.h"
#include "queue/inbox.h"

namespace inferkit::testing {
namespace {

using explorer::ExploredAtom;
using explorer::Plain;
using explorer::reached;
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

  void bring(std::size_t node, int most_rounds = 9) {
    nodes[node].value = 1;
    static_cast<void>(inbox.push(&nodes[node]));
    while (bell.ring()) {
      if (hold(most_rounds)) return;
      reached("the bell was dropped");  // and whoever is called rings: here the same thread
    }
  }
  // False: it was dropped.
  bool hold(int most_rounds) {
    for (int round = 1;; ++round) {
      for (Node* each = inbox.drain(); each != nullptr; each = each->next) {
        done = done + each->value;
      }
      if (bell.release()) return true;
      reached("the bell was rung while held");
      if (round == most_rounds) {
        bell.drop();
        return false;
      }
      bell.clear_pending();
    }
  }
};

explorer::MakeProgram token() {
  return program<Token>(
      {[](Token& t) { t.bring(0); }, [](Token& t) { t.bring(1); }, [](Token& t) { t.bring(2); }},
      [](Token& t) { require(t.done == 3, "work was left behind"); });
}

explorer::MakeProgram dropped_token() {
  return program<Token>({[](Token& t) { t.bring(0, 1); }, [](Token& t) { t.bring(1, 1); },
                         [](Token& t) { t.bring(2, 1); }},
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
    } else {
      reached("the list was empty");
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
      if (take == Credits<ExploredAtom>::Take::closed) return reached("the door was closed");
      if (take == Credits<ExploredAtom>::Take::taken) break;
      reached("one waited");
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
      [](Room& r) {
        require(r.credits.requests() == 0, "credits are lost");
        if (r.credits.epoch() < ExploredAtom::counts_from()) reached("the epoch wrapped");
      });
}
explorer::MakeProgram closing_room() {
  return program<Room>(
      {[](Room& r) { r.visit(); }, [](Room& r) { r.visit(); }, [](Room& r) { r.shut(); }},
      [](Room& r) { require(r.credits.requests() == 0, "credits are lost"); });
}

// --- what is lent ------------------------------------------------------------------------------

// As a pool whose handle goes while blocks are out.
struct Loan {
  Lent<ExploredAtom> lent;
  std::array<Plain<int>, 3> used{};  // each by one keeper, then all by the last
  int torn_down = 0;

  Loan() {
    for (std::size_t i = 0; i < used.size(); ++i) lent.add(Lent<ExploredAtom>::kUnitBytes);
  }
  void use(std::size_t mine) {
    used[mine] = 1;
    lent.add(Lent<ExploredAtom>::kUnitBytes);  // another block
    if (lent.drop(Lent<ExploredAtom>::kUnitBytes)) require(false, "torn down under a keeper");
    if (!lent.drop(Lent<ExploredAtom>::kUnitBytes)) return;
    for (Plain<int>& each : used) each = each + 1;
    ++torn_down;
    if (mine != 0) reached("another than the first was last");
  }
};

explorer::MakeProgram lent() {
  return program<Loan>(
      {[](Loan& l) { l.use(0); }, [](Loan& l) { l.use(1); }, [](Loan& l) { l.use(2); }},
      [](Loan& l) {
        require(l.torn_down == 1, "torn down never, or twice");
        require(l.lent.keepers() == 0 && l.lent.bytes() == 0, "counted wrong");
      });
}

}  // namespace

std::vector<NamedProgram> queue_programs() {
  constexpr explorer::Budget kTwo{.preemptions = 2, .stale = 1, .spurious = 1};
  constexpr explorer::Budget kThree{.preemptions = 3, .stale = 1, .spurious = 1};
  return {
      {"inbox: two push, one drains", mail(), kThree},
      {"bell: three bring work", token(), kThree, {"the bell was rung while held"}},
      {"bell: the holder lets go though it was rung",
       dropped_token(),
       kThree,
       {"the bell was dropped"}},
      {"free list: three take and give", pool(), kTwo, {"the list was empty"}},
      {"credits: three through one door", room(), kTwo, {"one waited", "the epoch wrapped"}},
      {"credits: the door closes", closing_room(), kTwo, {"one waited", "the door was closed"}},
      {"lent: the last keeper tears down", lent(), kThree, {"another than the first was last"}},
  };
}

}  // namespace inferkit::testing
