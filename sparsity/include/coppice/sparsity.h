#pragma once
/// Masks, pruning, fine-tuning and packing: everything of coppice-sparsity.

#include "coppice/nn.h"

#include "coppice/sparsity/amount.h"
#include "coppice/sparsity/mask_ops.h"
#include "coppice/sparsity/pack/pack.h"
#include "coppice/sparsity/prunable.h"
#include "coppice/sparsity/prunables.h"
#include "coppice/sparsity/prune/prune.h"
#include "coppice/sparsity/scheduler/cubic_schedule.h"
#include "coppice/sparsity/sparsifier/base.h"
#include "coppice/sparsity/sparsifier/config.h"
#include "coppice/sparsity/sparsifier/group.h"
#include "coppice/sparsity/training/callback.h"
#include "coppice/sparsity/training/callbacks/best_epoch.h"
#include "coppice/sparsity/training/callbacks/checkpoint.h"
#include "coppice/sparsity/training/callbacks/gradual_pruning.h"
#include "coppice/sparsity/training/dataset.h"
#include "coppice/sparsity/training/finetune.h"
#include "coppice/sparsity/training/trainer.h"
