// pair_style spinase/callback: sites, neighbours and spins are handed to a function outside LAMMPS.
// SPDX-License-Identifier: GPL-2.0-only (a work combined with LAMMPS)
#ifndef SPINASE_PAIR_H
#define SPINASE_PAIR_H

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "lammps.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "pair.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mpi.h>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr double TWO_PI = 6.283185307179586476925;
constexpr int MESSAGE = 2000;    // bytes of an error's text

// What the function is told, and where it writes. Rows: `owned` sites, then ghosts. All lengths and energies are LAMMPS'.
struct Question {
  int64_t owned, sites;          // sites counts ghosts as well
  int64_t pairs;                 // within the cutoff, those of ghosts with them where they are listed
  int64_t places;                // counts geometries: the same number, the same positions
  int32_t forces, energies;      // whether forces and virial, and energies of the sites, are wanted
  double reach;                  // how far ghosts surely are there from owned sites
  const double *positions;       // (sites, 3)
  const double *spins;           // (sites, 4): unit vector, moment
  const LAMMPS_NS::tagint *tags;
  const int *types;
  const int64_t *first, *second;    // (pairs,): directed, in an order that depends on the sites alone
  const double *vectors;            // (pairs, 3): from first to second
  double *force;                 // (sites, 3): add to it
  double *field;                 // (sites, 3): add -(1/hbar) dE/ds to it
  double *site_energy;           // (owned,): add to it
  double energy;                 // of the owned sites
  double virial[6];              // dE/d(strain) xx yy zz xy xz yz
  char message[MESSAGE];         // of an error
};

using Answer = int (*)(Question *);    // 0: well

Answer answer = nullptr;
int64_t places = 0;        // counts changes of positions and of neighbour lists
bool watched = false;    // whether fix spinase/motion alone moves sites, and counts

}    // namespace

extern "C" void spinase_answer(Answer function) { answer = function; }

namespace LAMMPS_NS {

class PairSpinaseCallback : public Pair {
 public:
  bool fields_only = false;    // spins are turning: no forces, no energy

  explicit PairSpinaseCallback(LAMMPS *lmp) : Pair(lmp)
  {
    single_enable = 0;
    restartinfo = 0;
    one_coeff = 1;
    manybody_flag = 1;
    no_virial_fdotr_compute = 1;
    centroidstressflag = CENTROID_NOTAVAIL;
  }

  ~PairSpinaseCallback() override
  {
    if (allocated) {
      memory->destroy(setflag);
      memory->destroy(cutsq);
    }
  }

  // pair_style spinase/callback CUTOFF GHOSTS(yes/no) FORCES(yes/no): neighbours of ghosts are listed for networks that
  // pass messages; without forces atoms must stay
  void settings(int narg, char **arg) override
  {
    if (narg != 3) error->all(FLERR, "pair_style spinase/callback takes a cutoff, neighbours of ghosts (yes/no), forces (yes/no)");
    cutoff = utils::numeric(FLERR, arg[0], false, lmp);
    ghosts = utils::logical(FLERR, arg[1], false, lmp) != 0;
    lattice = utils::logical(FLERR, arg[2], false, lmp) != 0;
  }

  void coeff(int narg, char **arg) override
  {
    if (narg != 2 || std::strcmp(arg[0], "*") != 0 || std::strcmp(arg[1], "*") != 0)
      error->all(FLERR, "write pair_coeff * *");
    allocate();
  }

  void init_style() override
  {
    if (!atom->sp_flag) error->all(FLERR, "pair styles of spinase need atom_style spin");
    if (force->newton_pair == 0) error->all(FLERR, "pair styles of spinase need newton on");
    require_answer();
    neighbor->add_request(this, NeighConst::REQ_FULL | (ghosts ? NeighConst::REQ_GHOST : 0));
  }

  double init_one(int, int) override { return cutoff; }

  void setup() override { fresh = true; }

  void compute(int eflag, int vflag) override
  {
    ev_init(eflag, vflag);
    const bool listed = fresh || neighbor->lastcall != last_list || neighbor->ncalls != last_count;
    if (listed) flatten();
    if (listed || !watched || update->whichflag != 1) places++;
    if (places != measured) measure();
    fresh = false;
    last_list = neighbor->lastcall;
    last_count = neighbor->ncalls;
    const int sites = atom->nlocal + atom->nghost;
    energies.assign(std::max(atom->nlocal, 1), 0.0);
    Question asked;
    std::memset(&asked, 0, sizeof(asked));
    asked.owned = atom->nlocal;
    asked.sites = sites;
    asked.pairs = first.size();
    asked.places = places;
    asked.forces = lattice && !fields_only;
    asked.energies = eflag_atom;
    asked.reach = comm->get_comm_cutoff() - neighbor->skin;
    static double none[4] = {0.0, 0.0, 0.0, 0.0};
    asked.positions = sites ? atom->x[0] : none;
    asked.spins = sites ? atom->sp[0] : none;
    asked.tags = atom->tag;
    asked.types = atom->type;
    asked.first = first.data();
    asked.second = second.data();
    asked.vectors = vectors.data();
    asked.force = sites ? atom->f[0] : none;
    asked.field = sites ? atom->fm[0] : none;
    asked.site_energy = energies.data();
    int wrong = ask(asked), anywhere = 0;
    MPI_Allreduce(&wrong, &anywhere, 1, MPI_INT, MPI_MAX, world);
    if (anywhere) fail(wrong, asked.message);
    if (eflag_global) eng_vdwl += asked.energy;
    if (eflag_atom)
      for (int i = 0; i < atom->nlocal; i++) eatom[i] += energies[i];
    if (vflag_global || vflag_atom)
      for (int k = 0; k < 6; k++) virial[k] -= asked.virial[k];    // LAMMPS' virial is sum r.f
  }

 protected:
  double cutoff = 0.0;
  bool ghosts = false, lattice = true;

  virtual void require_answer()
  {
    if (!answer) error->all(FLERR, "pair_style spinase/callback: no calculator was given (start LAMMPS through spinase_lammps)");
  }

  virtual int ask(Question &asked) { return answer(&asked); }    // 0: well; else with a message

  void allocate()
  {
    int n = atom->ntypes + 1;
    if (!allocated) {
      memory->create(setflag, n, n, "pair:setflag");
      memory->create(cutsq, n, n, "pair:cutsq");
      allocated = 1;
    }
    for (int i = 1; i < n; i++)
      for (int j = i; j < n; j++) setflag[i][j] = 1;
  }

 private:
  bool fresh = true;    // a run begins: LAMMPS has made lists, and counts them from 0 again
  bigint last_list = -1, last_count = -1;
  int64_t measured = -1;    // geometry of the pairs within the cutoff
  std::vector<double> energies, vectors;
  std::vector<int64_t> first, second;
  std::vector<std::pair<int, int>> listed_pairs;

  // All listed pairs, without the bits of bonded neighbours, ordered by first site, tag of the second, and where that is.
  void flatten()
  {
    listed_pairs.clear();
    double **x = atom->x;
    const tagint *tag = atom->tag;
    const int rows = list->inum + (ghosts ? list->gnum : 0);
    std::vector<int> sites(rows);
    for (int row = 0; row < rows; row++) sites[row] = list->ilist[row];
    std::sort(sites.begin(), sites.end());
    std::vector<int> near;
    for (const int i : sites) {
      near.clear();
      for (int k = 0; k < list->numneigh[i]; k++) near.push_back(list->firstneigh[i][k] & NEIGHMASK);
      std::sort(near.begin(), near.end(), [x, tag](int j, int k) {
        if (tag[j] != tag[k]) return tag[j] < tag[k];
        for (int a = 2; a >= 0; a--)
          if (x[j][a] != x[k][a]) return x[j][a] < x[k][a];
        return j < k;
      });
      for (const int j : near) listed_pairs.emplace_back(i, j);
    }
  }

  // The pairs within the cutoff now.
  void measure()
  {
    first.clear();
    second.clear();
    vectors.clear();
    double **x = atom->x;
    const double limit = cutoff * cutoff * (1.0 + 1e-9);
    for (const auto &[i, j] : listed_pairs) {
      const double d[3] = {x[j][0] - x[i][0], x[j][1] - x[i][1], x[j][2] - x[i][2]};
      if (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] > limit) continue;
      first.push_back(i);
      second.push_back(j);
      vectors.insert(vectors.end(), d, d + 3);
    }
    measured = places;
  }

  // An error on one rank is an error on all, with the text of the lowest rank that has one.
  void fail(int wrong, char *message)
  {
    int mine = wrong ? comm->me : comm->nprocs, first = 0;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
    MPI_Bcast(message, MESSAGE, MPI_CHAR, first, world);
    error->all(FLERR, "spinase, on rank {}: {}", first, message);
  }
};

}    // namespace LAMMPS_NS

#endif
