"""Where healthy ends: every threshold of the doctor, each with its reason. Imports nothing."""

ROWS = 1000  # samples looked at: a unit that fires for 1 in 100 stays silent for all of them with probability 4e-5
PROBES = 256  # of them, for gradients and what units do: a mean's error is 6% of the deviation
Z = 3.0  # standard errors for a claim that something is there: by chance once in 700 times
AT_CHANCE = 2.0  # below this many standard errors nothing is seen
PERMUTATIONS = 100  # of labels, for the spread of a score under "no connection": known to 7%
NEIGHBORS = 5  # enough to average noise in labels, few enough to stay near
FEWEST = 50  # rows below which scores of chance have too little power

# Inputs. A first layer keeps variance, so its sums have about the inputs' size; tanh is flat beyond 3, and the largest
# stable learning rate falls with the square of the size (LeCun et al., "Efficient BackProp", 1998).
INPUT_LARGE = 10.0
INPUT_SMALL = 0.01
COLUMNS_APART = 100.0  # sizes of columns; their speeds of learning are apart by the square, 10,000
DENSE = 0.1  # deviation over peak: below, the column is 0 for 99 of 100 rows, and small by being rare
SHIFT = 10.0  # |mean| over deviation: the slope in the weights is the slope in the bias, nearly
TARGET_FAR = 10.0  # |mean| or deviation of targets, where first outputs are about 0 +- 1

# Units
DEAD = 0.75  # of a layer's units: in deep nets samples grow alike, and half of all units are off by their sign alone
DEAD_Z = 3.0  # this many standard errors above that half, in small layers
FLAT = 0.1  # mean slope of a unit, of the steepest: a tenth of the gradient passes
SATURATED = 0.5  # of a layer's units
SMALLEST_LAYER = 4  # units: in fewer, one of them is a large part by accident

# Gradients, as norms relative to the weights' (so that layers can be compared)
VANISHING = 1e-3  # first layer to last: what the last does in a step takes the first a thousand, a whole training
NO_GRADIENT = 1e-7  # of the weights: float32 cannot add it
EXPLODING = 10.0  # a step at the usual rate of 0.1 would exchange the weights
EXPLODING_RATIO = 1e3  # first layer to last, as for vanishing

SOLVED = 0.02  # of the constant's loss: gradients and slopes are small since little is wrong

# Learning rate
STEP = 1.0  # a step as long as the weights themselves; healthy is about 0.001 (Karpathy's rule of thumb)
TRIAL_STEPS = 32  # an unstable rate multiplies errors in each step: 32 show it
PATIENT_STEPS = 100  # to see what a faster rate would bring
JUMP = 0.5  # a trial's loss above the first, in losses of the best constant: nothing learnt is worth so much
BURST = 3.0  # first epoch, in losses of the best constant, if no more is learnt after it; first outputs cost 1 or 2
RISE = 1.1  # last epochs to first
SWING = 0.2  # median change of log loss between epochs, both ways: a fifth up, a fifth down
SLOWER = (0.1, 0.01)  # rates tried from new weights where nothing is learnt
NOTHING = 0.95  # of the constant's loss
WORSE = 10.0  # times the constant's loss: steps that were too large, not too few
TRIED = 100  # steps in which a rate must show that it is better than a constant
FASTER = (10.0, 100.0, 1e3, 1e4, 1e5)  # rates tried where the loss falls by little
LITTLE = 0.02  # of the loss, in `PATIENT_STEPS`: 5000 steps to a third of it
FALL = 0.1  # what a faster rate must gain at once, of the loss
GAIN = 5.0  # and how many times as much as the rate there is
STEADY = 0.8  # epochs in which the loss fells: it is still on its way
LEARNT = 0.5  # of the constant's loss: above, most is still to be learnt

# Results
LOST = 0.2  # validation loss above its best, of all that was learnt there
GAP = 0.5  # of what was learnt in training that is missing in validation: less than half carries over
PATIENCE = 3  # epochs after the best
STEPS = 200  # of training, before its course is judged while it lasts
CONSTANT = 0.02  # deviation of predictions, of that of targets: an R2 of 0.0004 at most
IMBALANCE = 10.0  # largest class to rarest: the rarest ignored costs less accuracy than most nets' last tenth
RARE_FOUND = 0.5  # recall of the rarest class that shows it is learnt all the same

# Rows and columns
LEAK = 1e-3  # chance of this many twins of training rows if twins were as frequent as within the training rows
RAREST = 0.75  # the quarter of rows beyond it is looked at by itself
CONTRADICTING = 0.01  # of the rows: as much accuracy lost
SAME = 1 - 1e-6  # correlation of a column with the target: rounding apart, it is the target
ROWS_A_COLUMN = 3  # rows for each column, without which a sum of noise may fit as well
SMALL_PART = 1e-3  # weight of a column in such a sum, of the largest: below it is rounding
MOSTLY = 0.95  # share of the target's variance that one column explains: worth a question
SMALL_BATCH = 4  # samples from which a variance is estimated: with 3, its error is as large as itself
