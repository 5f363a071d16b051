#include "bindings/session.h"

#include <structmember.h>

#include <new>
#include <type_traits>
#include <utility>

#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/property.h"

namespace inferkit {
namespace {

static_assert(std::is_standard_layout_v<SessionObject>, "offsetof() below");

PyTypeObject* the_type = nullptr;

PyObject* create(PyTypeObject* type, PyObject* /*args*/, PyObject* /*kwargs*/) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self == nullptr) return nullptr;
  SessionObject* session = session_of(self);
  new (&session->engine) std::shared_ptr<Engine>();
  new (&session->deliveries) std::shared_ptr<void>();
  new (&session->short_runs) ShortRuns();
  return self;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(session_of(self)->dict);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(session_of(self)->dict);
  return 0;
}

// Answers and frees without the GIL: the engine joins threads, and one of them may want it.
void drop_engine(std::shared_ptr<Engine>& engine) {
  std::shared_ptr<Engine> last = std::move(engine);
  if (last == nullptr) return;
  const ReleaseGil released;
  // Nobody is left to wait for an answer, and no signal would be seen while we wait for one.
  last->answer_queued();
  last->stop_runs();
  if (!last->forked()) last->close(false, kNever);
  last.reset();
}

void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  SessionObject* session = session_of(self);
  PyObject_GC_UnTrack(self);
  if (session->weakrefs != nullptr) PyObject_ClearWeakRefs(self);
  Py_CLEAR(session->dict);
  drop_engine(session->engine);
  std::destroy_at(&session->engine);
  std::destroy_at(&session->deliveries);
  delete session->facts;
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* closed(PyObject* self, PyObject* /*unused*/) {
  const auto& engine = session_of(self)->engine;
  return PyBool_FromLong(engine == nullptr || engine->closed() ? 1 : 0);
}

PyMemberDef kMembers[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(SessionObject, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(SessionObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyGetSetDef kProperties[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMethodDef kClosed = {
    "closed", closed, METH_NOARGS,
    "closed(self) -> bool\n\nWhether close() was called, or the session was never opened."};

constexpr const char* kDoc = "The native half of inferkit.Session, which is the one to use.";

PyType_Slot kSlots[] = {{Py_tp_doc, const_cast<char*>(kDoc)},
                        {Py_tp_new, reinterpret_cast<void*>(create)},
                        {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                        {Py_tp_clear, reinterpret_cast<void*>(clear)},
                        {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                        {Py_tp_members, kMembers},
                        {Py_tp_getset, kProperties},
                        {0, nullptr}};

PyType_Spec kSpec = {"inferkit._core.SessionCore", sizeof(SessionObject), 0,
                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, kSlots};

}  // namespace

PyTypeObject* session_type() noexcept { return the_type; }

Engine* engine_of(SessionObject* session) {
  Engine* engine = session->engine.get();
  if (engine == nullptr) {
    set_error(Error(ErrorCode::session_closed, "the session was never opened"));
  }
  return engine;
}

bool add_session_method(PyMethodDef& def) {
  return add_attribute(the_type, def.ml_name, Ref::steal(PyDescr_NewMethod(the_type, &def)));
}

bool add_session_property(PyMethodDef& def) { return add_property(the_type, def); }

bool add_session(PyObject* module) {
  the_type = reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &kSpec, nullptr));
  return the_type != nullptr && PyModule_AddType(module, the_type) == 0 &&
         add_session_property(kClosed);
}

}  // namespace inferkit
