// fix spinase/motion: all spins at once by the implicit midpoint rule, and atoms.
// SPDX-License-Identifier: GPL-2.0-only (a work combined with LAMMPS)
#ifndef SPINASE_MOTION_H
#define SPINASE_MOTION_H

#include "fix.h"
#include "group.h"
#include "modify.h"
#include "spinase_pair.h"

namespace {

constexpr int PAST = 3;          // midpoints that are kept
constexpr int COLUMNS = 1 + 3 * PAST;
constexpr int TRUST = 50;        // steps for which a contraction is believed

}    // namespace

namespace LAMMPS_NS {

// fix ID all spinase/motion LATTICE(yes/no) DAMPING KT SEED TOLERANCE RESOLUTION BX BY BZ
//
// Its per-atom array (columns COLUMNS): g factor (0: the spin stays), and fm at the midpoints of the last steps, the latest
// first.  `fix_modify ID past COUNT ORDER CONTRACTION AGE` sets what goes with these, `fix_modify ID g GROUP VALUE` the
// g factor of the sites of a group, 2 where nothing is said.
class FixSpinaseMotion : public Fix {
 public:
  FixSpinaseMotion(LAMMPS *lmp, int narg, char **arg) : Fix(lmp, narg, arg)
  {
    if (narg != 12)
      error->all(FLERR, "fix spinase/motion takes lattice (yes/no), damping, kT, seed, tolerance, resolution and a field (3)");
    lattice = utils::logical(FLERR, arg[3], false, lmp) != 0;
    damping = utils::numeric(FLERR, arg[4], false, lmp);
    kT = utils::numeric(FLERR, arg[5], false, lmp);
    seed = static_cast<uint64_t>(utils::bnumeric(FLERR, arg[6], false, lmp));
    tolerance = utils::numeric(FLERR, arg[7], false, lmp);
    resolution = utils::numeric(FLERR, arg[8], false, lmp);
    for (int a = 0; a < 3; a++) applied[a] = utils::numeric(FLERR, arg[9 + a], false, lmp);
    time_integrate = 1;
    vector_flag = 1;
    size_vector = 6;
    global_freq = 1;
    extvector = 0;
    peratom_flag = 1;
    size_peratom_cols = COLUMNS;
    peratom_freq = 1;
    maxexchange = COLUMNS;
    FixSpinaseMotion::grow_arrays(atom->nmax);
    atom->add_callback(Atom::GROW);
    for (int i = 0; i < atom->nlocal; i++) FixSpinaseMotion::set_arrays(i);
  }

  ~FixSpinaseMotion() override
  {
    watched = false;
    atom->delete_callback(id, Atom::GROW);
    memory->destroy(array_atom);
  }

  int setmask() override { return FixConst::INITIAL_INTEGRATE | FixConst::FINAL_INTEGRATE; }

  void init() override
  {
    pair = dynamic_cast<PairSpinaseCallback *>(force->pair_match("spinase/callback", 1));
    if (!pair) pair = dynamic_cast<PairSpinaseCallback *>(force->pair_match("spinase/pt2", 1));
    if (!pair) error->all(FLERR, "fix spinase/motion needs pair_style spinase/callback or spinase/pt2");
    dt = update->dt;
    kick = 0.5 * dt * force->ftm2v;
    hbar = force->hplanck / TWO_PI;
    int movers = 0;
    for (const auto &fix : modify->get_fix_list()) movers += fix->time_integrate;
    watched = movers == 1;
  }

  void setup(int) override { places++; }
  void reset_dt() override
  {
    init();
    count = 0;
  }

  int modify_param(int narg, char **arg) override
  {
    if (narg >= 3 && std::strcmp(arg[0], "g") == 0) {
      const int group_bit = group->get_bitmask_by_id(FLERR, arg[1], "fix_modify g");
      const double value = utils::numeric(FLERR, arg[2], false, lmp);
      for (int i = 0; i < atom->nlocal; i++)
        if (atom->mask[i] & group_bit) array_atom[i][0] = value;
      return 3;
    }
    if (narg < 5 || std::strcmp(arg[0], "past") != 0) return 0;
    count = utils::inumeric(FLERR, arg[1], false, lmp);
    order = utils::inumeric(FLERR, arg[2], false, lmp);
    contraction = utils::numeric(FLERR, arg[3], false, lmp);
    age = utils::inumeric(FLERR, arg[4], false, lmp);
    return 5;
  }

  // iterations of the last step, the largest change in the last of them, and what `fix_modify past` sets
  double compute_vector(int k) override
  {
    const double told[6] = {double(iterations), change, double(count), double(order), contraction, double(age)};
    return told[k];
  }

  void initial_integrate(int) override
  {
    if (lattice) {
      push();
      drift();
    }
    turn();
    if (lattice) drift();
  }

  void final_integrate() override
  {
    if (lattice) push();
  }

  void grow_arrays(int nmax) override { memory->grow(array_atom, nmax, COLUMNS, "spinase/motion:array"); }
  void copy_arrays(int i, int j, int) override { std::copy(array_atom[i], array_atom[i] + COLUMNS, array_atom[j]); }
  void set_arrays(int i) override
  {
    std::fill(array_atom[i], array_atom[i] + COLUMNS, 0.0);
    array_atom[i][0] = 2.0;    // g
  }
  double memory_usage() override { return sizeof(double) * double(atom->nmax) * COLUMNS; }

  int pack_exchange(int i, double *buffer) override
  {
    std::copy(array_atom[i], array_atom[i] + COLUMNS, buffer);
    return COLUMNS;
  }

  int unpack_exchange(int i, double *buffer) override
  {
    std::copy(buffer, buffer + COLUMNS, array_atom[i]);
    return COLUMNS;
  }

 private:
  PairSpinaseCallback *pair = nullptr;
  double damping = 0.0, kT = 0.0, tolerance = 1e-12, resolution = 0.0, dt = 0.0, kick = 0.0, hbar = 0.0, applied[3];
  double change = 0.0;
  int iterations = 0;
  int count = 0, order = 0;                  // midpoints that are known, and how many of them foretell the next one best
  double contraction = 1.0;                  // of the iteration
  int age = TRUST;                           // steps since that was seen
  bool lattice = true;
  uint64_t seed = 0;
  std::vector<double> start, first, noise;    // spins and fm at the start of a step, thermal fields

  void push()
  {
    double **v = atom->v, **f = atom->f;
    for (int i = 0; i < atom->nlocal; i++) {
      if (!(atom->mask[i] & groupbit)) continue;
      double mass = atom->rmass ? atom->rmass[i] : atom->mass[atom->type[i]];
      for (int a = 0; a < 3; a++) v[i][a] += kick * f[i][a] / mass;
    }
  }

  void drift()
  {
    double **x = atom->x, **v = atom->v;
    for (int i = 0; i < atom->nlocal; i++)
      if (atom->mask[i] & groupbit)
        for (int a = 0; a < 3; a++) x[i][a] += 0.5 * dt * v[i][a];
    places++;
  }

  // fm at the spins that stand in sp, at these positions; other pair styles, which do not see spins, are not asked
  void fields()
  {
    const int sites = atom->nlocal + atom->nghost;
    comm->forward_comm();
    const size_t bytes = sizeof(double) * 3 * sites;
    if (sites) {
      std::memset(atom->f[0], 0, bytes);
      std::memset(atom->fm[0], 0, bytes);
      std::memset(atom->fm_long[0], 0, bytes);
    }
    pair->fields_only = true;
    pair->compute(0, 0);
    pair->fields_only = false;
    comm->reverse_comm();
  }

  // All spins for a step: s' = s + dt (s + s')/2 x A((s + s')/2), A = -gamma' (B + b + alpha s x (B + b)), by fixed-point
  // iteration from a field that is extrapolated from the start of the step and the midpoints before it.
  // As spinase.dynamics.integrators.ImplicitMidpoint: it ends when the error that is left, the last change times the
  // contraction that was measured, is below the tolerance, or the change is round-off of the fields.
  void turn()
  {
    const int n = atom->nlocal;
    double **sp = atom->sp, **fm = atom->fm;
    start.resize(3 * n);
    first.resize(3 * n);
    for (int i = 0; i < n; i++)
      for (int a = 0; a < 3; a++) {
        start[3 * i + a] = sp[i][a];
        first[3 * i + a] = fm[i][a];
      }
    draw();
    std::vector<double> now(start), next(start);
    for (int i = 0; i < n; i++) {
      if (stays(i)) continue;
      double guess[3], middle[3], *to = &now[3 * i];
      foretell(i, order, guess);
      rotate(i, &start[3 * i], &start[3 * i], guess, to);
      if (damping == 0.0) continue;    // else the rate depends on the spin at the midpoint as well
      for (int a = 0; a < 3; a++) middle[a] = 0.5 * (start[3 * i + a] + to[a]);
      rotate(i, &start[3 * i], middle, guess, to);
    }
    double before = 0.0, best = HUGE_VAL;
    int stalled = 0;
    bool done = false;
    for (iterations = 1; iterations <= 100 && !done; iterations++) {
      for (int i = 0; i < n; i++)
        for (int a = 0; a < 3; a++) sp[i][a] = 0.5 * (start[3 * i + a] + now[3 * i + a]);
      fields();
      double mine[2] = {0.0, 0.0}, all[2];    // largest change, largest angle
      for (int i = 0; i < n; i++) {
        if (stays(i)) continue;
        double *to = &next[3 * i];
        mine[1] = std::max(mine[1], rotate(i, &start[3 * i], sp[i], fm[i], to));
        for (int a = 0; a < 3; a++) {
          double step = std::fabs(to[a] - now[3 * i + a]);
          mine[0] = std::isfinite(step) ? std::max(mine[0], step) : HUGE_VAL;
          if (!std::isfinite(step)) break;
        }
        if (mine[0] == HUGE_VAL) break;
      }
      std::swap(now, next);
      MPI_Allreduce(mine, all, 2, MPI_DOUBLE, MPI_MAX, world);
      change = all[0];
      if (!std::isfinite(change)) error->all(FLERR, "spinase: fields are not finite in step {}", update->ntimestep);
      stalled = change < best ? 0 : stalled + 1;
      best = std::min(best, change);
      done = ends(iterations, before, resolution * all[1], stalled);
      before = change;
    }
    iterations--;
    for (int i = 0; i < n; i++)
      for (int a = 0; a < 3; a++) sp[i][a] = now[3 * i + a];
    if (!done)
      error->all(FLERR, "spinase: the midpoint rule did not converge in step {} (last change {}): take a shorter time step",
                 update->ntimestep, change);
    remember();
  }

  bool stays(int i) const { return atom->sp[i][3] <= 0.0 || array_atom[i][0] == 0.0 || !(atom->mask[i] & groupbit); }

  // fm at the next midpoint, by the polynomial through its start and the last `known` midpoints
  void foretell(int i, int known, double *guess) const
  {
    static const double factors[PAST + 1][PAST + 1] = {
        {1.0, 0.0, 0.0, 0.0}, {2.0, -1.0, 0.0, 0.0}, {8.0 / 3.0, -2.0, 1.0 / 3.0, 0.0}, {3.2, -3.0, 1.0, -0.2}};
    for (int a = 0; a < 3; a++) {
      guess[a] = factors[known][0] * first[3 * i + a];
      for (int k = 0; k < known; k++) guess[a] += factors[known][k + 1] * array_atom[i][1 + 3 * k + a];
    }
  }

  // Whether the iteration is over after its last change; what it tells about contraction is kept.
  bool ends(int made, double before, double noise, int stalled)
  {
    const double allowed = std::max(tolerance, noise), in_noise = std::max(tolerance, 4.0 * noise);
    double shrinks = contraction;
    if (made > 1) shrinks = std::max(change / std::max(before, 1e-300), 0.01);
    if (made == 2 && change > 1e-14) {
      age = 0;
      if (change > in_noise || contraction >= 1.0)
        contraction = std::max(shrinks, contraction >= 1.0 ? 0.0 : 0.9 * contraction);
    }
    if (change < in_noise) return true;
    if ((made > 1 || age < TRUST) && 3.0 * shrinks * change < allowed) return true;
    const bool rounded = change < 100.0 * tolerance && made > 1 && change >= before;
    return rounded || (stalled >= 3 && change < 1e-5);
  }

  // Keep fm of this midpoint, and how it would have been foretold best.
  void remember()
  {
    double mine[PAST + 1] = {0.0, 0.0, 0.0, 0.0}, all[PAST + 1];
    for (int i = 0; i < atom->nlocal; i++) {
      if (stays(i)) continue;
      for (int known = 0; known <= count; known++) {
        double guess[3];
        foretell(i, known, guess);
        for (int a = 0; a < 3; a++) mine[known] = std::max(mine[known], std::fabs(guess[a] - atom->fm[i][a]));
      }
      double *past = array_atom[i] + 1;
      std::copy_backward(past, past + 3 * (PAST - 1), past + 3 * PAST);
      std::copy(atom->fm[i], atom->fm[i] + 3, past);
    }
    MPI_Allreduce(mine, all, PAST + 1, MPI_DOUBLE, MPI_MAX, world);
    order = static_cast<int>(std::min_element(all, all + count + 1) - all);
    if (count < PAST && order == count) order++;
    count = std::min(count + 1, PAST);
    order = std::min(order, count);
    age++;
  }

  // Cayley rotation of `from` about the rate at the midpoint; gives the largest component of dt A
  double rotate(int i, const double *from, const double *s, const double *fm, double *to) const
  {
    const double prefactor = array_atom[i][0] / hbar / (1.0 + damping * damping);
    double b[3], w[3];
    for (int a = 0; a < 3; a++) b[a] = hbar * fm[a] / atom->sp[i][3] + applied[a] + noise[3 * i + a];
    double across[3] = {s[1] * b[2] - s[2] * b[1], s[2] * b[0] - s[0] * b[2], s[0] * b[1] - s[1] * b[0]};
    // s' - s = (s + s')/2 x dt A = w x (s + s'), w = -dt A/2 = dt gamma' (B + alpha s x B)/2
    for (int a = 0; a < 3; a++) w[a] = 0.5 * dt * prefactor * (b[a] + damping * across[a]);
    double square = w[0] * w[0] + w[1] * w[1] + w[2] * w[2], dot = w[0] * from[0] + w[1] * from[1] + w[2] * from[2];
    double cross[3] = {w[1] * from[2] - w[2] * from[1], w[2] * from[0] - w[0] * from[2], w[0] * from[1] - w[1] * from[0]};
    for (int a = 0; a < 3; a++) to[a] = ((1.0 - square) * from[a] + 2.0 * dot * w[a] + 2.0 * cross[a]) / (1.0 + square);
    return 2.0 * std::max({std::fabs(w[0]), std::fabs(w[1]), std::fabs(w[2])});
  }

  // Thermal fields of this step, of seed, step and tag alone: the same whoever owns the site
  void draw()
  {
    const int n = atom->nlocal;
    noise.assign(3 * std::max(n, 1), 0.0);
    if (kT <= 0.0 || damping <= 0.0) return;
    for (int i = 0; i < n; i++) {
      if (stays(i)) continue;
      double width = std::sqrt(2.0 * damping * kT * hbar / (array_atom[i][0] * atom->sp[i][3] * dt));
      uint64_t key = mix(mix(seed + 0x9e3779b97f4a7c15ull * static_cast<uint64_t>(update->ntimestep)) ^ static_cast<uint64_t>(atom->tag[i]));
      for (int pair = 0; pair < 2; pair++) {
        double one = uniform(key, 2 * pair), two = uniform(key, 2 * pair + 1);
        double radius = width * std::sqrt(-2.0 * std::log(one));
        noise[3 * i + 2 * pair] = radius * std::cos(TWO_PI * two);
        if (pair == 0) noise[3 * i + 1] = radius * std::sin(TWO_PI * two);
      }
    }
  }

  static uint64_t mix(uint64_t z)    // splitmix64
  {
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  static double uniform(uint64_t key, uint64_t k)    // in (0, 1)
  {
    return (static_cast<double>(mix(key + k) >> 11) + 0.5) * 0x1.0p-53;
  }
};

}    // namespace LAMMPS_NS

#endif
