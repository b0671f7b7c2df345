/* SPDX-License-Identifier: MIT
 * convscope.h - all public headers. */
#ifndef CONVSCOPE_H
#define CONVSCOPE_H
#include "base.h"
#include "tensor.h"
#include "comm.h"
#include "confine.h"
#include "data.h"
#include "evaluate.h"
#include "check.h"
#include "diagnose.h"
#include "explain.h"
#include "evolution.h"
#include "features.h"
#include "connections.h"
#include "invariance.h"
#include "graph.h"
#include "model.h"
#include "run.h"
#include "train.h"
#include "build.h"
#include "charts.h"
#include "draw.h"
#include "draw_features.h"
#include "draw_check.h"
#include "watch.h"
#include "runs.h"
#endif
