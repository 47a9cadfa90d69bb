"""Keywords of UppASD's ``inpsd.dat``: which are read, which have no say in couplings, and which are refused if on."""

from __future__ import annotations

_READ = """
    cell bc natoms ntypes posfile posfiletype alat scalefac momfile exchange jij_scale maptype map_multiple sym
    do_jtensor calc_jtensor do_anisotropy anisotropy mult_axis dm dm_scale sa sa_scale pd bq ring aunits hfield do_dip
    read_dipole
"""
READ = frozenset(_READ.split())
"""Structure and couplings."""

REFUSED = {
    "positions": "sites in the input file: write them to a posfile",
    "moments": "moments in the input file: write them to a momfile",
    "exchangedlm": "exchange of disordered local moments",
    "exc_inter": "exchange that depends on the order around a site",
    "ea_model": "random exchange (Edwards-Anderson)",
    "rdm_model": "random Dzyaloshinskii-Moriya vectors",
    "random_anisotropy": "anisotropies at random sites",
    "do_ralloy": "random alloys",
    "do_lsf": "longitudinal fluctuations of the moments",
    "do_cluster": "an embedded cluster",
    "multiscale": "multiscale models",
    "do_read_elk": "structures of Elk",
    "ind_mom_flag": "induced moments",
    "do_fixed_mom": "moments that are kept fixed",
    "set_landeg": "g factors of the sites",
    "biqdm": "biquadratic Dzyaloshinskii-Moriya exchange",
    "chir": "three-site chiral interactions",
    "fourx": "four-site interactions, which UppASD 6.1 lists and has in no field",
    "demag": "a demagnetizing field",
    "locfield": "fields of the sites",
    "siteatomfield": "fields of the sites",
    "do_bpulse": "field pulses",
    "do_efield": "an electric field",
    "do_kmc": "magnetic polarons",
    "stt": "spin-transfer torques: add a ZhangLiCalculator or SlonczewskiCalculator",
    "do_she": "spin Hall torques: add a SlonczewskiCalculator",
    "do_sot": "spin-orbit torques: add a SlonczewskiCalculator",
    "mwf": "a microwave field",
    "mwf_gauss": "a microwave field",
    "mwf_gauss_spatial": "a microwave field",
    "mwf_mov_gauss": "a microwave field",
    "mwf_mov_circle": "a microwave field",
    "mwf_mov_square": "a microwave field",
    "do_gauss": "a field pulse",
    "mov_gauss": "a moving field",
    "mov_circle": "a moving field",
    "mov_square": "a moving field",
}
"""What is not understood where it is on (its value is neither 0 nor N nor F)."""

AT_REST = {
    "ll": "forces between atoms",
    "lll": "forces between atoms",
    "ml": "spin-lattice couplings",
    "mml": "spin-lattice couplings",
    "mmll": "spin-lattice couplings",
}
"""What acts on displaced atoms only: left out with a warning."""

_IGNORED = """
    ac_buff ac_step acfile adapt_to_sc_ratio adaptive_timestep_interval adibeta amp_rnd amp_rnd_path anisotropy_clus
    avrg_buff avrg_step barrfile bas_ver beff_buff beff_step binteff_buff binteff_step block_size block_size_x
    block_size_y block_size_z bls_local_axis_mix bls_nsamples bls_nstep bls_sample_step bls_step bls_window
    bls_window_fun bpulsefile ce cell_clus chern_qvect cl compensate_drift conf_num constant crys_symm cs cumu_buff
    cumu_step current_buff current_step cv_file cv_lattfile cv_spinfile damping damping2 demag_vol demag_x demag_y
    demag_z dim_sys dip_file dm_clus do_3tm do_adaptive_timestepping do_ams do_autocorr do_avrg do_bimag do_bls
    do_bls_local_axis do_chern do_chiral do_cl_temp do_connected do_conv do_correlation do_cs_temp do_ct_temp
    do_cuda_avrg do_cuda_cumu do_cumu do_cumu_proj do_currents do_diamag do_diamag_full do_dm_stiffness do_ethermfield
    do_ewald do_gneb do_gneb_ci do_hess_fin do_hess_ini do_hess_sp do_hoc_debug do_ip_adaptive_timestepping
    do_larmor_dos do_larmor_loc do_lavrg do_lc do_lc_complex do_lc_connected do_lc_dosonly do_lc_list do_lc_local_axis
    do_lc_proj do_lc_projch do_lc_qt_traj do_lc_tens do_ld do_loc_pol do_lr do_ltottraj do_macro_cells do_magdos
    do_meminfo do_mom_legacy do_n3 do_norm_corr do_norm_rx do_phondos do_phonspec do_pol do_printatomclass do_prn_beff
    do_prn_binteff do_prn_eeff do_prn_einteff do_prn_elk do_prn_induced do_prn_kmc do_prn_poscar do_prn_torques
    do_prnstruct do_proj_avrg do_proj_lavrg do_proj_skyno do_projch_avrg do_projch_lavrg do_qhb do_qt_traj do_reduced
    do_region_optimization do_sc do_sc_average do_sc_bimag do_sc_complex do_sc_connected do_sc_dosonly do_sc_list
    do_sc_local_axis do_sc_proj do_sc_proj_axis do_sc_projch do_sc_tens do_set_avrgp0 do_set_avrgu0 do_site_damping
    do_site_ip_damping do_skyno_cmass do_skyno_den do_slc do_sortcoup do_sparse do_spintemp do_sr do_stiffness
    do_storeham do_suc do_tempexp do_thermfield do_tottraj do_uc do_uc_average do_uc_complex do_uc_connected
    do_uc_dosonly do_uc_list do_uc_local_axis do_uc_proj do_uc_projch do_uc_qt_traj do_uc_tens do_ur do_uvc do_vc
    do_vc_average do_vc_complex do_vc_connected do_vc_dosonly do_vc_list do_vc_local_axis do_vc_proj do_vc_projch
    do_vc_qt_traj do_vc_tens do_velrsc do_vr ea_algo ea_sigma eeff_buff eeff_step efield eig_zero einteff_buff
    einteff_step en_zero ene_buff ene_step energy_step eq_type eta_max eta_min ethermfield_buff ethermfield_step
    evolveout ewald_alpha exchange_clus fixed_if g_cool gamma_ce gauss_buff gauss_pulse_time gauss_site_file
    gauss_spatial_ampl gauss_spatial_sigma gauss_step gel ges glob_cos_thr gpu_mode gpu_rng gpu_rng_seed gradient
    grid_type gsconf_num gsl heisout i0phonopy imp_epsilon imp_max_count ind_buff ind_mom_type ind_step ind_tol
    init_temp initconc initexc initimp initlatt initmag initneigh initpath initpropvec initrotang initrotvec
    ip_adaptive_timestep_interval ip_dampfile ip_damping2 ip_hfield ip_mcanneal ip_mcnstep ip_mode ip_nphase ip_nstep
    ip_temp iplattdamp ipsdealgh is_afm jscale jsite jvec jvecfile kgrid kmax_ewald kmc_buff kmc_method kmc_posfile
    kmc_step larm_buff larm_dos_size larm_step larmor_numrev larmor_thr lattdamp lattrestartfile lattrotang lattroteul
    lavrg_buff lavrg_step lc_average lc_cr_cut lc_local_axis_mix lc_nstep lc_sep lc_step linear ll_phonopy
    ll_phonopycoordfile ll_scale llg lntraj load_temp logsamp lorentz_q lorentz_w lsf_field lsf_interpolate lsf_metric
    lsf_window lsffile ltottraj_buff ltottraj_step magdos_freq magdos_hfreq magdos_lfreq magdos_rasamples magdos_sigma
    magdosfile mavg0 max_pol_nn mcavrg_buff mcavrg_step mcnstep mensemble mep_ftol mep_ftol_ci mep_itrmax meptraj_step
    metanumb metatype min_algo min_ftol min_itrmax mintraj_step mml_diag mml_ene_opt mode momfile_clus momfile_f
    momfile_i mompar mov_circle_ampl mov_circle_buff mov_circle_file mov_circle_pstep mov_circle_pulse_time
    mov_circle_radius mov_circle_step mov_gauss_ampl mov_gauss_buff mov_gauss_file mov_gauss_pstep
    mov_gauss_pulse_time mov_gauss_space_sigma mov_gauss_step mov_square_ampl mov_square_buff mov_square_dimensions
    mov_square_file mov_square_pstep mov_square_pulse_time mov_square_step mp_dampfile mseed mwf_buff mwf_gauss_ampl
    mwf_gauss_buff mwf_gauss_dir mwf_gauss_freq mwf_gauss_pulse_time mwf_gauss_site_file mwf_gauss_spatial_ampl
    mwf_gauss_spatial_buff mwf_gauss_spatial_freq mwf_gauss_spatial_pulse_time mwf_gauss_spatial_site_file
    mwf_gauss_spatial_space_sigma mwf_gauss_spatial_step mwf_gauss_spatial_time_sigma mwf_gauss_step
    mwf_gauss_time_sigma mwf_mov_circle_ampl mwf_mov_circle_buff mwf_mov_circle_file mwf_mov_circle_freq
    mwf_mov_circle_pstep mwf_mov_circle_pulse_time mwf_mov_circle_radius mwf_mov_circle_step mwf_mov_circle_time_sigma
    mwf_mov_gauss_ampl mwf_mov_gauss_buff mwf_mov_gauss_file mwf_mov_gauss_freq mwf_mov_gauss_pstep
    mwf_mov_gauss_pulse_time mwf_mov_gauss_space_sigma mwf_mov_gauss_step mwf_mov_gauss_time_sigma mwf_mov_square_ampl
    mwf_mov_square_buff mwf_mov_square_dimensions mwf_mov_square_file mwf_mov_square_freq mwf_mov_square_pstep
    mwf_mov_square_pulse_time mwf_mov_square_step mwf_mov_square_time_sigma mwf_pulse_time mwf_site_file mwf_step
    mwfampl mwfdir mwffreq na_ver nc_eps nc_nvect nc_qvect ncell ncell_clus nstep ntraj num_tot_neigh p_pulse para_rng
    perp phi0 phondos_freq phondos_sigma phondosfile phonfile plotenergy pol_buff pol_step posfile_clus print_3tm_step
    print_dip_tensor prn_dip_subset prn_gauss prn_gneb_fields prn_j0_matrix prn_mov_circle prn_mov_gauss
    prn_mov_square prn_multiscale prn_mwf prn_mwf_gauss prn_mwf_gauss_spatial prn_mwf_mov_circle prn_mwf_mov_gauss
    prn_mwf_mov_square prn_ovf prn_vertices prnstruct q_vector qdip_files qfile qhb_mode qm_cellrot qm_exclude qm_max
    qm_min qm_nstep qm_nvec qm_oaxis qm_qvec qm_relax qm_relax_mode qm_relax_steps qm_relax_temp qm_rot qm_svec
    qm_type qpoints quantization_axis radius_phonopy random_anisotropy_density rate0 rdm_algo rdm_sigma
    read_ovf real_time_measure region_optimization_rebuild_step relaxed_if relaxtime renorm_coll restartfile
    rmax_ewald rngpol rot_axis rotang roteul sample_num sc_average sc_cr_cut sc_emax sc_eres sc_local_axis_mix
    sc_nstep sc_sep sc_step sc_window_fun scalefac_phonopy sdealgh she_angle shells_nums sigma_corr sigma_pulse
    sigma_q sigma_w simid site_phase site_phase_file skyno skyno_buff skyno_step sot_damping sot_field sot_pol_vec
    sot_site_file sot_site_pol source_type spin_pol spintemp_step spring t0_pulse tbound_x tbound_y tbound_z tcurie
    temp temp_corr temp_elec_init temp_final temp_latt_init temp_neigh temp_solver temp_spin_init temperature
    tempexp_end tempexp_start tempexp_step tempexp_tau thermfield_buff thermfield_step theta0 thick_ferro time_efield
    timestep torques_buff torques_step totalsimtime tottraj_buff tottraj_step tseed uc_average uc_cr_cut
    uc_local_axis_mix uc_nstep uc_sep uc_step use_vsl vc_average vc_cr_cut vc_local_axis_mix vc_nstep vc_sep vc_step
    velrsc_step velrsc_taut ver_atom ver_sym ver_ver vertex_buff vertex_cell vertex_step vertexfile vpo_dt vpo_mass
    wl_emax wl_emin wl_gfac wl_hcut wl_lcut wl_maxt wl_mint wl_nhist wl_nloop wl_sigma x_max_border x_min_border
    y_max_border y_min_border z_max_border z_min_border ziggurat
"""
IGNORED = frozenset(_IGNORED.split())
"""How a run is made and what it measures: damping, temperature, time steps, initial phase, output, lattice dynamics."""

__all__ = ["AT_REST", "IGNORED", "READ", "REFUSED"]
