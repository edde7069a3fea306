"""Networks with recurrent layers, one for each way in which their units are coupled."""

import keras
from keras import layers, ops


def sequence(steps=5, features=3):
    return keras.Input((steps, features), name="sequence")


def classifier(inputs, x):
    return keras.Model(inputs, layers.Dense(4, name="head")(x))


def stacked():
    inputs = sequence()
    x = layers.GRU(6, return_sequences=True)(inputs)
    x = layers.LSTM(8, return_sequences=True)(x)
    return classifier(inputs, layers.SimpleRNN(5, activation="softsign")(x))


def variants():
    inputs = sequence()
    x = layers.GRU(8, return_sequences=True, reset_after=False, go_backwards=True)(inputs)
    x = layers.LSTM(6, use_bias=False, unroll=True, return_sequences=True)(x)
    return classifier(inputs, layers.GRU(5, use_bias=False, recurrent_activation="relu")(x))


def between_convolutions():
    inputs = sequence(8)
    x = layers.Conv1D(6, 3, activation="relu")(inputs)
    x = layers.BatchNormalization()(layers.GRU(8, return_sequences=True)(x))
    x = layers.Conv1D(5, 3, activation="relu")(layers.Dropout(0.2)(x))
    return classifier(inputs, layers.Flatten()(layers.LSTM(4, return_sequences=True)(x)))


def bidirectional():
    inputs = sequence()
    x = layers.Bidirectional(layers.GRU(6, return_sequences=True))(inputs)
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True), merge_mode="sum")(x)
    x = layers.Bidirectional(layers.GRU(6, return_sequences=True), merge_mode="mul")(x)
    x = layers.Bidirectional(layers.SimpleRNN(5), merge_mode="ave")(layers.Dense(7)(x))
    return classifier(inputs, x)


def bidirectional_of_two():
    """Two layers of different kinds, and their outputs apart."""
    inputs = sequence()
    x = layers.Bidirectional(
        layers.LSTM(6, return_sequences=True),
        backward_layer=layers.GRU(
            6, activation="relu", use_bias=False, return_sequences=True, go_backwards=True
        ),
    )(layers.Dense(5)(inputs))
    forward, backward = layers.Bidirectional(layers.GRU(6), merge_mode=None)(x)
    x = layers.Concatenate()([layers.Dense(4)(backward), forward])
    return classifier(inputs, x)


def encoder_decoder_of_states():
    """The decoder goes on from the encoder's states; nobody reads the encoder's outputs."""
    inputs, target = sequence(), keras.Input((4, 2), name="target")
    _, h, c = layers.LSTM(7, return_state=True, name="encoder")(inputs)
    x = layers.LSTM(7, return_sequences=True)(target, initial_state=[h, c])
    return keras.Model([inputs, target], layers.TimeDistributed(layers.Dense(3))(x))


def states_of_two_directions():
    inputs = sequence()
    x, *states = layers.Bidirectional(
        layers.LSTM(4, return_sequences=True, return_state=True), name="encoder"
    )(inputs)
    h, c = layers.Concatenate()(states[::2]), layers.Concatenate()(states[1::2])
    x = layers.LSTM(8)(x, [h, c])
    y = layers.Bidirectional(layers.GRU(8))(inputs, initial_state=[x, h])
    return classifier(inputs, y)


def masked_words():
    inputs = keras.Input((7,), dtype="int32", name="words")
    x = layers.Embedding(11, 8, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
    x = layers.TimeDistributed(layers.Dense(6, activation="relu"))(layers.Dense(7)(x))
    return classifier(inputs, layers.GRU(5)(x))


def masked_values():
    inputs = sequence()
    x = layers.Masking(0.0)(ops.relu(inputs))
    x = layers.GRU(6, return_sequences=True, zero_output_for_mask=True)(x)
    x = layers.Masking(0.5)(layers.Dense(5)(x))  # asks whether all channels are 0.5
    return classifier(inputs, layers.LSTM(5)(layers.Dense(6)(x)))


def residual():
    inputs = sequence()
    x = layers.Dense(8)(inputs)
    for _ in range(2):
        y = layers.LayerNormalization()(layers.Dense(6)(layers.LSTM(8, return_sequences=True)(x)))
        x = x + layers.GRU(8, return_sequences=True)(y)
    return classifier(inputs, layers.GlobalAveragePooling1D()(x))


def gated():
    inputs = sequence()
    x = layers.GRU(6, return_sequences=True)(inputs)
    x = x * layers.Dense(6, activation="sigmoid")(x)
    last, whole = x[:, -1], layers.Flatten()(x)
    return classifier(inputs, layers.Concatenate()([last, whole, layers.LSTM(5)(x[:, ::2])]))


def shared():
    inputs = sequence()
    layer = layers.LSTM(6, return_sequences=True)
    x = layer(layer(layers.Dense(6)(inputs)))
    return classifier(inputs, layers.GRU(5)(x))


def frames():
    """A convolution at every time step, as in video."""
    inputs = keras.Input((3, 6, 6, 2), name="frames")
    x = layers.TimeDistributed(layers.Conv2D(6, 3, padding="same"))(inputs)
    x = layers.TimeDistributed(layers.BatchNormalization())(x)
    x = layers.TimeDistributed(layers.SeparableConv2D(5, 3, strides=2, activation="relu"))(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    return classifier(inputs, layers.GRU(6)(x))


def nested_sequences():
    inputs = keras.Input((3, 4, 2), name="sentences")
    x = layers.TimeDistributed(layers.GRU(5, return_sequences=True))(inputs)
    x = layers.TimeDistributed(layers.Bidirectional(layers.LSTM(4)))(x)
    return classifier(inputs, layers.LSTM(5)(x))


def kept_units():
    """Softmax mixes the units; one layer starts from what is not cut; features as time steps."""
    inputs, start = sequence(), keras.Input((6,), name="start")
    x = layers.Dense(6)(inputs)
    y = layers.GRU(6, activation="softmax", return_sequences=True)(x)
    z = layers.LSTM(6, recurrent_activation="softmax", return_sequences=True)(x)
    x = layers.GRU(6, return_sequences=True)(x, initial_state=start)
    x = layers.Concatenate()([x, y, z])
    x = layers.Permute((2, 1))(layers.Dense(5)(x))
    x = layers.TimeDistributed(layers.Dense(5))(x)
    return keras.Model([inputs, start], layers.Dense(4)(layers.GRU(6)(layers.Dense(7)(x))))


def unknown_length():
    inputs = keras.Input((None, 3), name="sequence")
    x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(inputs)
    x = layers.TimeDistributed(layers.Dense(5))(x)
    return classifier(inputs, layers.GRU(5)(x))


# Topology -> number of groups that can be cut (of how many).
TOPOLOGIES = {
    stacked: (3, 4),
    variants: (3, 4),
    between_convolutions: (4, 5),
    bidirectional: (5, 6),
    bidirectional_of_two: (4, 5),
    encoder_decoder_of_states: (1, 2),
    states_of_two_directions: (1, 2),
    masked_words: (5, 6),
    masked_values: (3, 5),
    residual: (3, 6),
    gated: (2, 3),
    shared: (2, 3),
    frames: (3, 4),
    nested_sequences: (3, 4),
    kept_units: (4, 9),
    unknown_length: (3, 4),
}
