"""What things are called elsewhere and here: one table, for error messages and docs/coming-from.md. Imports nothing.

A row says where a name may turn up, the names that Keras, PyTorch or scikit-learn have (K, P, S), code that does it
here and can be run as it stands, and what is different. Names are found whatever their case, with or without
underscores. Pellucid has one name for each thing, and no aliases: other names are answered with that one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Hint(NamedTuple):
    """One row: where, the names elsewhere, whose, what it is here, and a remark."""

    place: str
    names: str
    of: str
    here: str
    remark: str = ""


LOGITS = "it takes logits: leave the last sigmoid or softmax out of the net"
FUNCTION = "a function, without parentheses"
COUNTED = "sizes of inputs are taken from the data"
PICTURES = "pictures are (C, H, W)"
STEPS = "sequences are (T, C)"
WORST = "of the wrong class that is furthest ahead, not the mean over all"
SELF = "nothing is needed for it"

TABLE = [Hint(*row) for row in (
    # ---- layers -------------------------------------------------------------------------------------------------
    ("nn", "Linear LazyLinear", "P", "nn.Dense(64)", COUNTED),
    ("nn", "Conv2D Conv3D Convolution2D", "KP", "nn.Conv(32, 3)", PICTURES),
    ("nn", "Conv1d", "P", "nn.Conv1D(32, 3)", STEPS),
    ("nn", "Conv2DTranspose ConvTranspose2d ConvTranspose3d Conv3DTranspose", "KP",
     "nn.ConvTranspose(16, 3, strides=2)", PICTURES),
    ("nn", "DepthwiseConv2D", "K", "nn.DepthwiseConv(3)", PICTURES),
    ("nn", "LocallyConnected1D LocallyConnected2D", "K", "nn.LocallyConnected(8, 3)", PICTURES),
    ("nn", "SeparableConv2D", "K", "nn.Sequential(nn.DepthwiseConv(3, bias=False), nn.Conv(32, 1))", PICTURES),
    ("nn", "MaxPooling2D MaxPool2D MaxPool3d MaxPooling3D", "KP", "nn.MaxPool(2)", PICTURES),
    ("nn", "AveragePooling2D AvgPool2D AvgPool3d AveragePooling3D", "KP", "nn.AvgPool(2)", PICTURES),
    ("nn", "MaxPooling1D", "K", "nn.MaxPool1D(2)", STEPS),
    ("nn", "AveragePooling1D", "K", "nn.AvgPool1D(2)", STEPS),
    ("nn", "GlobalAveragePooling2D GlobalAvgPool2D", "K", "nn.GlobalAvgPool()", PICTURES),
    ("nn", "GlobalMaxPooling2D GlobalMaxPool2D", "K", "nn.GlobalMaxPool()", PICTURES),
    ("nn", "AdaptiveAvgPool2d", "P", "nn.GlobalAvgPool()", "for output size 1, flattened"),
    ("nn", "AdaptiveMaxPool2d", "P", "nn.GlobalMaxPool()", "for output size 1, flattened"),
    ("nn", "GlobalAveragePooling1D", "K", "nn.GlobalAvgPool1D()", STEPS),
    ("nn", "GlobalMaxPooling1D", "K", "nn.GlobalMaxPool1D()", STEPS),
    ("nn", "UpSampling2D Upsample", "KP", "nn.UpSample(2)", PICTURES),
    ("nn", "ZeroPadding2D ZeroPad2d", "KP", "nn.ZeroPad(1)", PICTURES),
    ("nn", "BatchNormalization BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm", "KP", "nn.BatchNorm()",
     "momentum 0.9 keeps nine tenths of the old average, as in Keras: PyTorch's 0.1"),
    ("nn", "LayerNormalization", "K", "nn.LayerNorm()"),
    ("nn", "GroupNormalization", "K", "nn.GroupNorm(4)"),
    ("nn", "SpatialDropout1D SpatialDropout2D Dropout1d Dropout2d", "KP", "nn.SpatialDropout(0.2)"),
    ("nn", "Activation", "K", "nn.relu", "an activation is a part of the net by itself: " + FUNCTION),
    ("nn", "ReLU", "KP", "nn.relu", FUNCTION),
    ("nn", "ReLU6", "KP", "partial(nn.ramp, a=0, b=6, c=0, d=6)", FUNCTION),
    ("nn", "LeakyReLU", "KP", "partial(nn.leaky_relu, slope=0.1)", FUNCTION),
    ("nn", "ELU", "KP", "nn.elu", FUNCTION),
    ("nn", "GELU", "KP", "nn.gelu", FUNCTION),
    ("nn", "SiLU Swish", "KP", "nn.silu", FUNCTION),
    ("nn", "Sigmoid", "P", "nn.sigmoid", FUNCTION),
    ("nn", "Tanh", "P", "nn.tanh", FUNCTION),
    ("nn", "Softplus", "P", "nn.softplus", FUNCTION),
    ("nn", "Softmax", "KP", "nn.softmax", FUNCTION + "; leave it out before a loss over classes, which has it"),
    ("nn", "LogSoftmax", "P", "nn.softmax", "without the logarithm; leave it out before a loss, which has both"),
    ("nn", "Hardtanh", "P", "partial(nn.ramp, a=-1, b=1, c=-1, d=1)", FUNCTION),
    ("nn", "Identity", "P", "nn.linear", FUNCTION),
    ("nn", "SimpleRNN RNNCell SimpleRNNCell", "KP", "nn.RNN(8)"),
    ("nn", "LSTMCell", "KP", "nn.LSTM(8)", "model.stepper() goes step by step"),
    ("nn", "GRUCell", "KP", "nn.GRU(8)", "model.stepper() goes step by step"),
    ("nn", "MultiheadAttention", "P", "nn.MultiHeadAttention(2)"),
    ("nn", "TransformerEncoderLayer TransformerEncoder", "P", "nn.TransformerBlock(heads=2, hidden=16)"),
    ("nn", "TransformerDecoderLayer TransformerDecoder", "P", "nn.TransformerDecoderBlock(heads=2, hidden=16)"),
    ("nn", "Unflatten", "P", "nn.Reshape((1, 8, 8))"),
    ("nn", "Add", "K", "nn.Residual(nn.Dense(4))", "or x + y in a function of Values"),
    ("nn", "ModuleList", "P", "nn.Sequential(*[nn.Dense(8) for _ in range(3)])"),
    ("nn", "Module", "P", "nn.Sequential(nn.Dense(8), nn.tanh, nn.Dense(2))",
     "or a subclass of nn.Layer with __call__: docs/extending.md"),
    ("nn", "Input InputLayer", "K", "pel.Model(net, 'mse', input_shape=(4,))", COUNTED + ", or said so"),
    ("nn", "functional", "P", "nn.relu", "functions of Values are in nn and pel.ops"),
    ("nn", "L2Regularizer regularizers", "K", "pel.Model(net, 'mse', regularizer=nn.L2(1e-4))"),
    ("nn", "clip_grad_norm_ utils", "P", "optim.Adam(global_clipnorm=1.0)"),
    ("nn.init", "xavier_uniform_", "P", "nn.Dense(8, weight_init=nn.init.glorot_uniform)"),
    ("nn.init", "xavier_normal_", "P", "nn.Dense(8, weight_init=nn.init.glorot_normal)"),
    ("nn.init", "kaiming_uniform_", "P", "nn.Dense(8, weight_init=nn.init.he_uniform)"),
    ("nn.init", "kaiming_normal_", "P", "nn.Dense(8, weight_init=nn.init.he_normal)"),
    ("nn.init", "random_normal", "K", "nn.Dense(8, weight_init=partial(nn.init.normal, size=0.05))"),
    ("nn.init", "truncated_normal", "K", "nn.Dense(8, weight_init=partial(nn.init.normal, size=0.05))",
     "not truncated, there is no truncated one here"),
    ("nn.init", "random_uniform", "K", "nn.Dense(8, weight_init=partial(nn.init.uniform, size=0.05))"),
    ("nn.init", "ones", "KP", "nn.Dense(8, bias_init=partial(nn.init.constant, value=1.0))"),
    ("activation", "swish", "K", "nn.Sequential(nn.Dense(8), 'silu')"),
    ("activation", "lrelu", "", "nn.Sequential(nn.Dense(8), 'leaky_relu')"),
    ("activation", "identity none", "S", "nn.Sequential(nn.Dense(8), 'linear')"),
    ("activation", "logistic", "S", "nn.Sequential(nn.Dense(8), 'sigmoid')"),
    ("activation", "exponential exp", "K", "nn.Sequential(nn.Dense(8), pel.ops.exp)"),
    ("activation", "hard_sigmoid", "K", "nn.Sequential(nn.Dense(8), partial(nn.ramp, c=-3, d=3))"),
    # ---- options of layers --------------------------------------------------------------------------------------
    ("layer", "activation", "K", "nn.Sequential(nn.Dense(64), nn.relu)",
     "an activation is a part of the net by itself"),
    ("layer", "out_features output_dim n_units hidden_units", "P", "nn.Dense(units=64)"),
    ("layer", "in_features in_channels input_dim input_size num_features normalized_shape", "P",
     "nn.Dense(64)", COUNTED),
    ("layer", "input_shape", "K", "pel.Model(net, 'mse', input_shape=(4,))", COUNTED + ", or said so"),
    ("layer", "use_bias", "K", "nn.Dense(64, bias=False)"),
    ("layer", "kernel_initializer", "K", "nn.Dense(64, weight_init=nn.init.he_normal)"),
    ("layer", "bias_initializer", "K", "nn.Dense(64, bias_init=nn.init.zeros)"),
    ("layer", "kernel_regularizer", "K", "nn.Regularized(nn.Dense(64), weights=nn.L2(1e-4))"),
    ("layer", "bias_regularizer", "K", "nn.Regularized(nn.Dense(64), biases=nn.L2(1e-4))"),
    ("layer", "activity_regularizer", "K", "nn.Regularized(nn.Dense(64), activations=nn.L1(1e-4))"),
    ("layer", "kernel_constraint", "K", "nn.Regularized(nn.Dense(64), constraint=nn.MaxNorm(3))"),
    ("layer", "out_channels", "P", "nn.Conv(filters=32, kernel_size=3)"),
    ("layer", "stride", "P", "nn.Conv(32, 3, strides=2)"),
    ("layer", "dilation_rate", "K", "nn.Conv(32, 3, dilation=2)"),
    ("layer", "pool_size", "K", "nn.MaxPool(2)"),
    ("MaxPool", "kernel_size", "P", "nn.MaxPool(2)"),
    ("AvgPool", "kernel_size", "P", "nn.AvgPool(2)"),
    ("MaxPool1D", "kernel_size", "P", "nn.MaxPool1D(2)"),
    ("AvgPool1D", "kernel_size", "P", "nn.AvgPool1D(2)"),
    ("layer", "data_format", "K", "images.transpose(0, 3, 1, 2)", "pictures have their channels first, (C, H, W)"),
    ("layer", "p", "P", "nn.Dropout(rate=0.5)"),
    ("layer", "eps", "P", "nn.LayerNorm(epsilon=1e-5)"),
    ("layer", "affine elementwise_affine", "P", "nn.BatchNorm(center=False, scale=False)"),
    ("layer", "num_groups", "P", "nn.GroupNorm(groups=4)"),
    ("Embedding", "num_embeddings input_dim", "KP", "nn.Embedding(rows=1000, units=64)"),
    ("Embedding", "embedding_dim output_dim", "KP", "nn.Embedding(rows=1000, units=64)"),
    ("Embedding", "padding_idx mask_zero", "KP", "nn.Embedding(1000, 64, padding_index=0)"),
    ("layer", "hidden_size", "P", "nn.LSTM(units=64)"),
    ("layer", "num_layers", "P", "nn.Sequential(nn.LSTM(64, return_sequences=True), nn.LSTM(64))"),
    ("layer", "batch_first", "P", "nn.LSTM(64)", "samples are always first, then steps"),
    ("layer", "bidirectional", "P", "nn.Bidirectional(nn.LSTM(64))"),
    ("layer", "go_backwards", "K", "nn.LSTM(64, reverse=True)"),
    ("layer", "num_heads nhead", "KP", "nn.MultiHeadAttention(heads=2)"),
    ("layer", "embed_dim key_dim d_model", "KP", "nn.MultiHeadAttention(2, units=16)"),
    ("layer", "dim_feedforward", "P", "nn.TransformerBlock(heads=2, hidden=16)"),
    ("layer", "scale_factor", "P", "nn.UpSample(factor=2)"),
    ("layer", "device dtype", "P", "pel.Model(net, 'mse', dtype='float64')", "the model decides it for all layers"),
    # ---- losses -------------------------------------------------------------------------------------------------
    ("nn", "CrossEntropyLoss NLLLoss SparseCategoricalCrossentropy CategoricalCrossentropy", "KP", "nn.CrossEntropy()",
     LOGITS + "; targets are class numbers or one-hot rows"),
    ("nn", "BCEWithLogitsLoss BCELoss BinaryCrossentropy", "KP", "nn.BinaryCrossEntropy()", LOGITS),
    ("nn", "MSELoss", "P", "nn.MeanSquaredError()"),
    ("nn", "L1Loss", "P", "nn.MeanAbsoluteError()"),
    ("nn", "SmoothL1Loss HuberLoss", "P", "nn.Huber()"),
    ("nn", "PoissonNLLLoss", "P", "nn.Poisson()"),
    ("nn", "CategoricalHinge", "K", "nn.Hinge()"),
    ("nn", "MultiMarginLoss", "P", "nn.Hinge()", WORST),
    ("loss", "bce binary_crossentropy bce_with_logits log_loss logistic", "KS", "loss='binary_cross_entropy'", LOGITS),
    ("loss", "categorical_crossentropy sparse_categorical_crossentropy crossentropy ce nll softmax multinomial", "K",
     "loss='cross_entropy'", LOGITS + "; targets are class numbers or one-hot rows"),
    ("loss", "squared_error l2", "S", "loss='mse'"),
    ("loss", "rmse", "", "loss='mse'", "without the root; the least of both is at the same weights"),
    ("loss", "absolute_error l1", "S", "loss='mae'"),
    ("loss", "smooth_l1", "P", "loss='huber'"),
    ("loss", "categorical_hinge", "K", "loss='hinge'"),
    ("loss", "multi_margin", "P", "loss='hinge'", WORST),
    ("loss", "squared_hinge", "KS", "loss='binary_hinge'",
     "not squared, there is no squared one here; targets are 0 and 1"),
    ("loss", "kl_divergence kld kl_div", "KP", "loss='cross_entropy'", "with rows of probabilities as targets"),
    # ---- metrics ------------------------------------------------------------------------------------------------
    ("metric", "acc sparse_categorical_accuracy categorical_accuracy binary_accuracy", "KS", "metrics=['accuracy']"),
    ("metric", "auc roc_auc_curve auroc", "K", "metrics=['roc_auc']", "of two classes; 'roc_auc_ovr' of several"),
    ("metric", "auprc pr_auc", "", "metrics=['average_precision']"),
    ("metric", "mape", "K", "metrics=['mean_absolute_percentage_error']"),
    ("metric", "msle", "K", "metrics=['mean_squared_log_error']"),
    ("metric", "mcc", "", "metrics=['matthews_corrcoef']"),
    ("metric", "top_k_categorical_accuracy sparse_top_k_categorical_accuracy", "K", "metrics=['top_5_accuracy']"),
    ("metric", "categorical_crossentropy binary_crossentropy cross_entropy", "K", "metrics=['log_loss']",
     "the loss itself is always reported"),
    # ---- optimizers and schedules ---------------------------------------------------------------------------------
    ("optimizer", "sgd_momentum momentum gd", "", "optimizer=optim.SGD(0.1, momentum=0.9)"),
    ("optimizer", "nesterov", "", "optimizer=optim.SGD(0.1, momentum=0.9, nesterov=True)"),
    ("optimizer", "l-bfgs-b bfgs", "S", "optimizer='lbfgs'"),
    ("optim", "SparseAdam Adamax AMSGrad RAdam", "KP", "optim.Adam(0.001)", "there is no other of its kind here"),
    ("optim", "Rprop", "P", "optim.RMSprop(0.001)",
     "another rule, made from it for mini-batches; there is no Rprop here"),
    ("optim", "lr_scheduler schedules", "KP", "optim.Adam(pel.schedules.Cosine(0.01, epochs=10))"),
    ("optimizer option", "lr", "KP", "optim.Adam(learning_rate=0.001)"),
    ("optimizer option", "betas", "P", "optim.Adam(beta_1=0.9, beta_2=0.999)"),
    ("optimizer option", "beta1", "", "optim.Adam(beta_1=0.9)"),
    ("optimizer option", "beta2", "", "optim.Adam(beta_2=0.999)"),
    ("optimizer option", "eps", "P", "optim.Adam(epsilon=1e-8)"),
    ("RMSprop", "alpha", "P", "optim.RMSprop(rho=0.9)"),
    ("optimizer option", "decay", "K", "optim.Adam(pel.schedules.InverseTime(0.01, epochs=10))"),
    ("optimizer option", "momentum", "", "optim.SGD(0.1, momentum=0.9)", "Adam's is beta_1"),
    ("optimizer option", "max_grad_norm max_norm", "P", "optim.Adam(global_clipnorm=1.0)"),
    ("optimizer option", "params parameters model_parameters", "P", "optim.Adam(0.001)",
     "the model gives it its weights"),
    ("schedules", "StepLR", "P", "pel.schedules.Step(0.1, ratio=0.5, epochs=10)"),
    ("schedules", "MultiStepLR PiecewiseConstantDecay", "KP", "pel.schedules.Piecewise((0.1, 0.01), epochs=(10,))"),
    ("schedules", "ExponentialLR ExponentialDecay", "KP", "pel.schedules.Exponential(0.1, ratio=0.9, epochs=1)"),
    ("schedules", "CosineAnnealingLR CosineDecay", "KP", "pel.schedules.Cosine(0.1, epochs=10)"),
    ("schedules", "OneCycleLR", "P", "pel.schedules.OneCycle(0.1, epochs=10)"),
    ("schedules", "LinearLR LinearWarmup", "P", "pel.schedules.WarmUp(0.1, epochs=5)"),
    ("schedules", "InverseTimeDecay", "K", "pel.schedules.InverseTime(0.1, epochs=10)"),
    ("schedules", "LambdaLR LearningRateSchedule LearningRateScheduler", "KP",
     "pel.schedules.Function(0.1, lambda t: 1 / (1 + t), epochs=1)"),
    ("schedule option", "gamma decay_rate", "KP", "pel.schedules.Exponential(0.1, ratio=0.9, epochs=1)"),
    ("schedule option", "step_size T_max milestones", "P", "pel.schedules.Cosine(0.1, epochs=10)"),
    ("schedule option", "decay_steps total_steps", "KP", "pel.schedules.Cosine(0.1, steps=1000)"),
    ("schedule option", "eta_min alpha", "KP", "pel.schedules.Cosine(0.1, end=0.001, epochs=10)"),
    ("schedule option", "initial_learning_rate max_lr lr learning_rate", "KP",
     "pel.schedules.Step(start=0.1, epochs=10)"),
    # ---- callbacks and the package --------------------------------------------------------------------------------
    ("pel", "ModelCheckpoint BackupAndRestore", "K", "pel.Checkpoint('checkpoints', best='val_loss')"),
    ("pel", "LearningRateScheduler", "K", "optim.Adam(pel.schedules.Cosine(0.01, epochs=10))"),
    ("pel", "TerminateOnNaN", "K", "pel.DivergedError", "fit raises it by itself"),
    ("pel", "ProgbarLogger", "K", "model.fit(x, y, verbose=1)"),
    ("pel", "LambdaCallback", "K", "pel.Callback", "a subclass with on_epoch_end(self, epoch, logs)"),
    ("pel", "SummaryWriter", "P", "pel.TensorBoard('logs')"),
    ("pel", "Sequential layers models", "K", "nn.Sequential(nn.Dense(8), nn.relu, nn.Dense(3))"),
    ("pel", "losses initializers regularizers activations functional", "KP", "nn.CrossEntropy()",
     "all of them are in nn"),
    ("pel", "optimizers", "K", "optim.Adam(0.001)"),
    ("pel", "callbacks", "K", "pel.EarlyStopping(patience=5)"),
    ("pel", "datasets", "KS", "pel.data.digits()"),
    ("pel", "Input", "K", "pel.Model(net, 'mse', input_shape=(4,))", COUNTED + ", or said so"),
    ("pel", "load_model", "K", "model.save('net.pel'); model = pel.load('net.pel')"),
    ("pel", "save", "P", "model.save('net.pel')"),
    ("pel", "manual_seed set_random_seed", "KP", "pel.Model(net, 'mse', seed=0)"),
    ("pel", "Tensor from_numpy Variable as_tensor", "P", "np.asarray([[1.0, 2.0]])", "arrays go in and come out"),
    ("pel", "no_grad inference_mode", "P", "model.predict(x)", SELF),
    ("pel", "device cuda", "P", "pel.Model(net, 'mse', executor='native')", "it computes on processors"),
    ("pel", "to_categorical utils", "K", "pel.Model(net, loss='cross_entropy')", "class numbers are taken as they are"),
    ("pel", "MLPClassifier", "S", "pel.sklearn.MLPClassifier()"),
    ("pel", "MLPRegressor", "S", "pel.sklearn.MLPRegressor()"),
    ("pel", "train_test_split", "S", "train, _, test = pel.data.split(x, y, validation_size=0)"),
    ("pel", "cross_val_score GridSearchCV", "S", "pel.selection.cross_validate(model, x, y, folds=3, epochs=1)"),
    # ---- the model ------------------------------------------------------------------------------------------------
    ("model", "compile", "K", "pel.Model(net, loss='cross_entropy', optimizer='adam', metrics=['accuracy'])",
     "said when the model is made; the first fit compiles"),
    ("model", "train_on_batch partial_fit fit_generator", "KS", "model.fit(x, y, batch_size='all', verbose=0)",
     "a further fit goes on"),
    ("model", "test_on_batch score", "KS", "model.evaluate(x, y)['accuracy']"),
    ("model", "predict_proba predict_on_batch forward", "KPS", "model.predict(x)",
     "probabilities: the loss's link is applied"),
    ("model", "predict_classes", "K", "model.predict(x).argmax(-1)"),
    ("model", "state_dict get_weights named_parameters weights trainable_weights trainable_variables", "KP",
     "model.parameters", "a dict of arrays by name"),
    ("model", "load_state_dict set_weights", "KP", "model.set_parameters(model.parameters)"),
    ("model", "save_weights", "K", "model.save('net.pel')", "one file for everything"),
    ("model", "load_weights", "K", "model.save('net.pel'); model = pel.load('net.pel')"),
    ("model", "train eval", "P", "model.predict(x)",
     "fit trains, evaluate and predict do not: dropout knows by itself"),
    ("model", "to cuda cpu", "P", "pel.Model(net, 'mse', executor='native')", "it computes on processors"),
    ("model", "backward zero_grad step", "P", "cost, slopes = model.gradients(x, y)", "fit does it all"),
    ("model", "count_params", "K", "sum(a.size for a in model.parameters.values())", "or model.summary()"),
    ("model", "layers get_layer children modules", "KP", "model.net.layers", "of nn.Sequential"),
    ("model", "add", "K", "nn.Sequential(nn.Dense(8), nn.relu, nn.Dense(3))", "a net is made in one piece"),
    ("model", "build", "K", "pel.Model(net, 'mse', input_shape=(4,))"),
    ("model", "get_params set_params classes_", "S", "pel.sklearn.NeuralClassifier()", "an estimator for scikit-learn"),
    ("model", "__sklearn_tags__ decision_function", "S", "pel.selection.ModelEstimator.trained(model)",
     "for scikit-learn's scores and pictures, such as DecisionBoundaryDisplay"),
    ("model", "transform fit_transform", "S", "pel.FeatureExtractor(model, layer=-2)"),
    ("model", "to_json export", "K", "model.save('net.pel')"),
    ("model", "plot plot_history loss_curve_", "", "model.history.plot()"),
    ("net", "parameters named_parameters weights state_dict get_weights", "KP", "model.parameters",
     "weights are the model's: a net has none of its own"),
    ("net", "add append", "KP", "nn.Sequential(nn.Dense(8), nn.relu, nn.Dense(3))", "a net is made in one piece"),
    ("net", "compile fit", "K", "pel.Model(net, loss='cross_entropy', optimizer='adam', metrics=['accuracy'])"),
    ("net", "predict forward train eval", "KP", "model.predict(x)", "of the model that is made of the net"),
    ("net", "summary", "K", "model.summary()", "of the model that is made of the net"),
    ("net", "to cuda", "P", "pel.Model(net, 'mse', executor='native')", "it computes on processors"),
    ("Model", "model layers inputs outputs", "K", "pel.Model(net, 'mse')",
     "a net of several inputs is a function of Values"),
    ("Model", "criterion loss_fn", "P", "pel.Model(net, loss='mse')"),
    ("Model", "lr learning_rate learning_rate_init", "S", "pel.Model(net, 'mse', optimizer=optim.Adam(0.001))"),
    ("Model", "random_state random_seed", "S", "pel.Model(net, 'mse', seed=0)"),
    ("Model", "device", "P", "pel.Model(net, 'mse', executor='native')", "it computes on processors"),
    ("Model", "n_jobs", "S", "pel.Model(net, 'mse', threads=2)"),
    ("Model", "metric", "", "pel.Model(net, 'mse', metrics=['r2'])"),
    ("Model", "input_dim in_features", "KP", "pel.Model(net, 'mse', input_shape=(4,))", COUNTED + ", or said so"),
    ("Model", "weight_decay l2 alpha", "PS", "pel.Model(net, 'mse', regularizer=nn.L2(1e-4))"),
    ("Model", "epochs batch_size verbose callbacks validation_split class_weight", "S",
     "model.fit(x, y, epochs=1, batch_size=32, verbose=0)", "an option of fit"),
    ("fit", "n_epochs nb_epoch num_epochs max_epochs max_iter", "S", "model.fit(x, y, epochs=10)"),
    ("fit", "X", "S", "model.fit(x, y)"),
    ("fit", "target targets labels", "", "model.fit(x, y)"),
    ("fit", "initial_epoch", "K", "model.fit(x, y, epochs=1)", "a further fit goes on where the last one ended"),
    ("fit", "lr learning_rate", "", "pel.Model(net, 'mse', optimizer=optim.Adam(0.001))"),
    ("fit", "optimizer loss metrics", "",
     "pel.Model(net, loss='cross_entropy', optimizer='adam', metrics=['accuracy'])"),
    ("fit", "steps_per_epoch validation_freq validation_steps validation_batch_size", "K",
     "model.fit(x, y, validation_data=(x, y))", "an epoch is all samples, and ends with validation"),
    ("fit", "workers use_multiprocessing max_queue_size n_jobs", "KS", "pel.Model(net, 'mse', threads=2)"),
    ("fit", "callback", "", "model.fit(x, y, callbacks=[pel.Callback()])"),
    ("fit", "early_stopping patience n_iter_no_change", "S",
     "model.fit(x, y, validation_split=0.2, callbacks=[pel.EarlyStopping(patience=5)])"),
    ("fit", "cv stratify n_splits", "S", "pel.selection.cross_validate(model, x, y, folds=pel.selection.Folds(3))"),
    ("fit", "eval_set val_data validation_set X_val", "", "model.fit(x, y, validation_data=(x, y))"),
    ("fit", "test_size validation_fraction", "S", "model.fit(x, y, validation_split=0.2)"),
    ("fit", "weights sample_weights", "", "model.fit(x, y, sample_weight=np.ones(len(x)))"),
    ("fit", "class_weights", "", "model.fit(x, y, class_weight='balanced')"),
    ("fit", "random_state seed", "S", "pel.Model(net, 'mse', seed=0)"),
    ("predict", "allow_nan ensure_all_finite force_all_finite", "", "model.predict(x, finite=False)"),
    ("predict", "verbose steps workers callbacks", "K", "model.predict(x)", SELF),
    ("evaluate", "verbose steps workers callbacks return_dict", "K", "model.evaluate(x, y)", "the result is a dict"),
    # ---- data -----------------------------------------------------------------------------------------------------
    ("data", "DataLoader", "P", "model.fit(x, y, batch_size=32)", "fit makes mini-batches, shuffled"),
    ("data", "TensorDataset", "P", "pel.data.Dataset(x, y)", "model.fit(dataset)"),
    ("data", "train_test_split random_split", "PS", "train, _, test = pel.data.split(x, y, validation_size=0)"),
    ("data", "load_digits", "S", "pel.data.digits()"),
    ("data", "make_moons", "S", "pel.data.moons()"),
    ("data", "make_circles", "S", "pel.data.circles()"),
    ("data", "make_blobs", "S", "pel.data.blobs()"),
    ("data", "FashionMNIST KMNIST load_mnist", "KP", "pel.data.mnist('mnist')",
     "of a folder with its four files: docs/data.md"),
    ("data", "CIFAR10 CIFAR100 load_cifar10", "KP", "pel.data.cifar('cifar')",
     "of its folder or archive: docs/data.md"),
    ("data", "ImageFolder image_dataset_from_directory", "KP", "pel.data.images('pictures')"),
    ("data", "Compose RandomHorizontalFlip RandomCrop ImageDataGenerator transforms", "KP",
     "pel.data.Augment(flip=True)", "model.fit(x, y, augment=...)"),
    ("data", "OneHotEncoder OrdinalEncoder", "S", "pel.data.OneHotCode",
     "a table's columns: pel.tabular.Preprocessor()"),
    ("data", "StandardScaler", "S", "pel.tabular.Preprocessor(scale='standard')"),
    ("data", "MinMaxScaler", "S", "pel.tabular.Preprocessor(scale='minmax')"),
    ("data", "TextVectorization", "K", "pel.data.Vocabulary(['a text', 'another'])"),
    ("data", "to_categorical", "K", "pel.Model(net, loss='cross_entropy')", "class numbers are taken as they are"),
    # ---- estimators -----------------------------------------------------------------------------------------------
    ("estimator", "epochs n_epochs", "K", "pel.sklearn.NeuralClassifier(max_iter=100)"),
    ("estimator", "hidden units hidden_units hidden_layers hidden_sizes", "", "pel.sklearn.NeuralClassifier((64, 32))"),
    ("estimator", "lr", "P", "pel.sklearn.NeuralClassifier(learning_rate_init=0.01)"),
    ("estimator", "weight_decay l2", "P", "pel.sklearn.NeuralClassifier(alpha=1e-4)"),
    ("estimator", "seed", "", "pel.sklearn.NeuralClassifier(random_state=0)"),
    ("estimator", "patience", "K", "pel.sklearn.NeuralClassifier(early_stopping=True, n_iter_no_change=5)"),
    ("estimator", "validation_split", "K",
     "pel.sklearn.NeuralClassifier(early_stopping=True, validation_fraction=0.2)"),
    ("estimator", "n_jobs", "S", "pel.sklearn.NeuralClassifier(threads=2)"),
    ("estimator", "metrics", "K", "pel.selection.cross_validate(model, x, y, folds=3, scoring='accuracy', epochs=1)"),
    ("estimator", "net model module", "", "pel.sklearn.NeuralClassifier(layers=[nn.Dense(8), nn.tanh])"),
)]  # fmt: skip


def plain(name: str) -> str:
    """A name without case and separators.

    >>> plain("Sparse_Categorical-Crossentropy")
    'sparsecategoricalcrossentropy'
    """
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def find(place: str, name: str) -> Hint | None:
    """The row for a name at a place.

    >>> find("nn", "conv2d").here
    'nn.Conv(32, 3)'
    """
    rows = [row for row in TABLE if row.place == place]
    return next((row for row in rows if name in row.names.split()), None) or next(
        (row for row in rows if plain(name) in map(plain, row.names.split())), None)  # fmt: skip


def hint(places: str | Iterable[str], name: Any, known: Iterable[str] = ()) -> str:
    """What to say of a name that is not known here, to stand behind "no ... is named ...": its row, or what is near.

    >>> hint("loss", "bce")
    "; here it is loss='binary_cross_entropy' (it takes logits: leave the last sigmoid or softmax out of the net)"
    >>> hint("loss", "hubber", ["huber", "mse"]), hint("loss", "?", ["huber"])
    ("; did you mean 'huber'?", '')
    """
    if not isinstance(name, str):
        return ""
    for place in (places,) if isinstance(places, str) else places:
        if row := find(place, name):
            return f"; here it is {row.here}" + (f" ({row.remark})" if row.remark else "")
    if near := close(name, known):
        return f"; did you mean {' or '.join(map(repr, near))}?"
    return ""


def of_value(value: Any, activations: Iterable[str]) -> str:
    """What to say where an option is the name of an activation, of here or of Keras: ``Dense(64, "relu")``.

    >>> of_value("ReLU", ["relu"])
    'an activation is a part of the net by itself: nn.Sequential(nn.Dense(64), nn.relu)'
    """
    if not isinstance(value, str):
        return ""
    elsewhere = find("activation", value)
    if plain(value) not in map(plain, activations) and not (elsewhere and "K" in elsewhere.of):
        return ""
    row = find("layer", "activation")
    return f"{row.remark}: {row.here}" if row else ""


def close(name: str, known: Iterable[str]) -> list[str]:
    """The known names that are nearly this one, the nearest first."""
    import difflib

    by_plain: dict[str, str] = {}
    for one in known:
        by_plain.setdefault(plain(one), one)
    sure = difflib.get_close_matches(plain(name), by_plain, 1, 0.85)
    return [by_plain[p] for p in sure or difflib.get_close_matches(plain(name), by_plain, 2, 0.65)]
